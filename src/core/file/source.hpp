// Where jobs read from: bytes at random, of a place whose content can be told from a later one.
//
// A path is a file. Other places (an object store) become further implementations behind
// open_source(); readers see only this interface.
//
// Threads  Any, reads are independent.
// Fails    kNotFound, kIo and errno's other classes; read_at() beyond the end: kCorrupt.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file/file.hpp"
#include "core/result.hpp"

namespace spillway {

class Source {
 public:
  virtual ~Source() = default;
  // Exactly out.size() bytes.
  [[nodiscard]] virtual Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const = 0;
  virtual uint64_t size() const = 0;
  virtual const std::string& name() const = 0;
  // What tells this content from a later one under the same name: size and time of the last change.
  virtual std::string identity() const = 0;
  // kConflict, naming it, when the name leads to other content than it did when this was opened.
  [[nodiscard]] virtual Result<void> must_be_unchanged() const { return {}; }
  virtual bool is_file() const { return false; }  // with a name, that can be opened again
};
[[nodiscard]] Result<std::unique_ptr<Source>> open_source(const std::string& path);

std::unique_ptr<Source> source_of(File file, const FileInfo& info);
// A file that is open already and stays so for longer than this.
std::unique_ptr<Source> view_of(const File& file, uint64_t size);
// An address is no file: kUsage.
[[nodiscard]] Result<void> refuse_remote(const std::string& path);

// A whole small file, for configuration: kTooLarge above `max_size`.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, uint64_t max_size);

// Files, folders and globs as the files they mean: in the order given; a folder's files whose name
// ends in one of `suffixes`, in either case (not hidden ones, not of its subfolders) and a glob's in bytewise order.
// Fails with kNotFound when a word means nothing.
[[nodiscard]] Result<std::vector<std::string>> expand_paths(
    const std::vector<std::string>& words, const std::vector<std::string>& suffixes);

}  // namespace spillway
