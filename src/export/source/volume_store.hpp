// A folder of files that are read by range: on this machine, or behind an http(s) address.
//
// Memory   Local: one open file. http: what net/engine.hpp says for a connection.
// Threads  One.
// Fails    kIo, kConflict, kCancelled; a file that is not there is an answer, not an error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "core/result.hpp"
#include "export/source/unpacker.hpp"

namespace spillway::exporter {

class VolumeStore {
 public:
  // What objects were when they were read first; shared by those that read the same place.
  class Marks;
  static std::shared_ptr<Marks> make_marks();
  // `place`: a folder or an address, without a "/" at the end.
  [[nodiscard]] static Result<std::unique_ptr<VolumeStore>> open(
      const std::string& place, std::shared_ptr<Marks> marks = make_marks());
  virtual ~VolumeStore() = default;

  // Bytes of a file from `offset` on: out.size(), fewer only where it ends; none when there is no
  // such file.
  [[nodiscard]] virtual Result<std::optional<size_t>> read(const std::string& name, uint64_t offset,
                                                           std::span<uint8_t> out,
                                                           const std::stop_token& stop) = 0;
  struct Whole {
    size_t bytes = 0;
    // By the name that a local file was found under: NAME, NAME.gz, NAME.br, NAME.zstd, NAME.zst.
    Packing packing = Packing::kNone;
    const char* suffix = "";
  };
  // All of a file; kTooLarge when it is longer than `out`.
  [[nodiscard]] virtual Result<std::optional<Whole>> read_whole(const std::string& name,
                                                                std::span<uint8_t> out,
                                                                const std::stop_token& stop) = 0;
  // Behind the last read: whether what was read is still there as it was.
  [[nodiscard]] virtual Result<void> finish() { return {}; }
  const std::string& place() const { return place_; }

 protected:
  explicit VolumeStore(std::string place) : place_(std::move(place)) {}
  std::string place_;
};

}  // namespace spillway::exporter
