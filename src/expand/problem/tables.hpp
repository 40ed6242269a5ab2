// Tables whose memory is counted before it grows, and names as numbers.
//
// Fails    kMemoryLimit: one line that says whose tables, and how much they may take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway::expand {

class Tally {
 public:
  // `whose`: "net.pnml: the net".
  Tally(std::string whose, Bytes limit) : whose_(std::move(whose)), limit_(limit.count()) {}

  // Makes room for `count` entries in all. While a table is copied, both copies count.
  template <class Table>
  [[nodiscard]] Result<void> grow(Table& table, uint64_t count) {
    constexpr uint64_t kEntry = sizeof(typename Table::value_type);
    if (count <= table.capacity()) return {};
    if (held_ + count * kEntry > limit_) return too_much();
    held_ += (count - table.capacity()) * kEntry;
    table.reserve(count);
    return {};
  }
  template <class T>
  [[nodiscard]] Result<void> push(std::vector<T>& table, T value) {
    if (table.size() == table.capacity())
      if (auto grown = grow(table, std::max<uint64_t>(16, table.size() * 2)); !grown) return grown;
    table.push_back(std::move(value));
    return {};
  }
  [[nodiscard]] Result<void> append(std::string& text, std::string_view more) {
    const uint64_t size = text.size() + more.size();
    if (size > text.capacity())
      if (auto grown = grow(text, std::max<uint64_t>(2 * text.size(), size)); !grown) return grown;
    text += more;
    return {};
  }

 private:
  tl::unexpected<Error> too_much() const;
  std::string whose_;
  uint64_t limit_, held_ = 0;
};

// Different names, numbered 0, 1, ... as they come.
class NameTable {
 public:
  // The number of the name, a new one if need be. `tally` is the same at every call.
  [[nodiscard]] Result<uint32_t> number(std::string_view name, Tally& tally);
  std::string_view name(uint32_t number) const {
    const uint64_t begin = number == 0 ? 0 : ends_[number - 1];
    return std::string_view(text_).substr(begin, ends_[number] - begin);
  }
  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }

 private:
  std::string text_;
  std::vector<uint64_t> ends_;
  std::vector<uint32_t> slots_;  // open addressing: 1 + number
};

}  // namespace spillway::expand
