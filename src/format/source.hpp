// Where jobs read from and write to: the one random-access source and the one sink that every path
// goes through.
//
// A path is a file. Other places (an object store) become further implementations behind
// open_source() and create_sink(); readers and writers see only these two interfaces.
//
// Threads  Source: any, reads are independent. Sink: one.
// Fails    kNotFound, kIo, kDiskFull; read_at() beyond the end: kCorrupt.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace spillway::format {

class Source {
 public:
  virtual ~Source() = default;
  // Exactly out.size() bytes.
  [[nodiscard]] virtual Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const = 0;
  virtual uint64_t size() const = 0;
  virtual const std::string& name() const = 0;
  // What tells this content from a later one under the same name: size and time of the last change.
  virtual std::string identity() const = 0;
};
[[nodiscard]] Result<std::unique_ptr<Source>> open_source(const std::string& path);

// Bytes that get their final name all at once. Destroyed without commit(): nothing is left.
class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual Result<void> append(std::span<const uint8_t> data) = 0;
  virtual uint64_t size() const = 0;
  virtual const std::string& name() const = 0;
  // What was appended so far, for verification before commit(). Not beyond this sink's life.
  [[nodiscard]] virtual Result<std::unique_ptr<Source>> read_back() = 0;
  // Durable, then visible under the final name.
  [[nodiscard]] virtual Result<void> commit() && = 0;
};
struct SinkOptions {
  std::string partial;  // the temporary name, on the same file system; empty: path + ".partial"
};
[[nodiscard]] Result<std::unique_ptr<Sink>> create_sink(const std::string& path,
                                                        SinkOptions options);

// Files, folders and globs as the files they mean: in the order given; a folder's files whose name
// ends in one of `suffixes` (not hidden ones, not of its subfolders) and a glob's in bytewise order.
// Fails with kNotFound when a word means nothing.
[[nodiscard]] Result<std::vector<std::string>> expand_paths(
    const std::vector<std::string>& words, const std::vector<std::string>& suffixes);

}  // namespace spillway::format
