// Where jobs write what outlives them: bytes that get their final name all at once. Whoever sees the
// name sees the whole content, on the disk.
//
// A name is a file; an object store becomes a second kind behind create_output().
//
// Until commit() the bytes are in `partial`, which is this process's own: it is locked, another
// writer of the same name takes another one, and what a dead process left there is taken over.
// Destroyed without commit() or leave(): nothing is left.
//
// Memory   `buffer`; or what WriteBehind says.
// Threads  One.
// Fails    kDiskFull, kIo and errno's other classes. After a failed sync commit() never succeeds.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/file/source.hpp"
#include "core/file/write_behind.hpp"
#include "core/result.hpp"

namespace spillway {

class Output {
 public:
  virtual ~Output() = default;
  [[nodiscard]] virtual Result<void> append(std::span<const uint8_t> data) = 0;
  [[nodiscard]] Result<void> append(std::string_view text) {
    return append({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  // Changes what was appended; not with a tap.
  [[nodiscard]] virtual Result<void> write_at(uint64_t offset, std::span<const uint8_t> data) = 0;
  virtual uint64_t size() const = 0;
  virtual const std::string& name() const = 0;  // the final one
  // What was appended so far, to be checked before commit(). Not beyond this output's life.
  [[nodiscard]] virtual Result<std::unique_ptr<Source>> read_back() = 0;

  // On the disk, then visible under the final name, which is on the disk too.
  [[nodiscard]] virtual Result<void> commit() && = 0;
  // Whole under the partial name, not synced: for who publishes many at once.
  [[nodiscard]] virtual Result<void> leave() && = 0;
};

struct OutputOptions {
  std::string partial;  // on the same file system; empty: path + ".partial"
  size_t buffer = 0;    // bytes that are gathered before they are written
  WriteBehind* behind =
      nullptr;             // in the place of `buffer`; outlives the output, serves one at a time
  ByteTap* tap = nullptr;  // sees all that is appended; outlives the output
};
[[nodiscard]] Result<std::unique_ptr<Output>> create_output(const std::string& path,
                                                            OutputOptions options = {});

// Whole small files: for results and configuration, at most a few MiB.
[[nodiscard]] Result<void> write_durably(const std::string& path, std::string_view content);

}  // namespace spillway
