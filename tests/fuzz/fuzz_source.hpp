// The input as a source, for what reads a stream.
#pragma once

#include <cstring>
#include <string>

#include "core/file/source.hpp"
#include "fuzz.hpp"

class FuzzSource final : public spillway::Source {
 public:
  explicit FuzzSource(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  spillway::Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const override {
    MUST(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  uint64_t size() const override { return bytes_.size(); }
  const std::string& name() const override { return name_; }
  std::string identity() const override { return name_; }

 private:
  const std::span<const uint8_t> bytes_;
  const std::string name_ = "fuzz";
};
