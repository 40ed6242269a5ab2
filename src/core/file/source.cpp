#include "core/file/source.hpp"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "core/bytes.hpp"
#include "core/file/folders.hpp"
#include "core/printable.hpp"

namespace spillway {
namespace {

class FileSource final : public Source {
 public:
  FileSource(File file, const FileInfo& info) : file_(std::move(file)), info_(info) {}
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const override {
    return file_.read_at(offset, out);
  }
  uint64_t size() const override { return info_.size; }
  const std::string& name() const override { return file_.path(); }
  std::string identity() const override {
    return fmt::format("{} {}.{:09}", info_.size, info_.changed_ns / 1'000'000'000,
                       info_.changed_ns % 1'000'000'000);
  }
  Result<void> must_be_unchanged() const override {
    return spillway::must_be_unchanged(file_.path(), info_);
  }
  bool is_file() const override { return true; }

 private:
  const File file_;
  const FileInfo info_;
};

class FileView final : public Source {
 public:
  FileView(const File& file, uint64_t size) : file_(file), size_(size) {}
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const override {
    return file_.read_at(offset, out);
  }
  uint64_t size() const override { return size_; }
  const std::string& name() const override { return file_.path(); }
  std::string identity() const override { return {}; }

 private:
  const File& file_;
  const uint64_t size_;
};

bool is_glob(const std::string& word) { return word.find_first_of("*?[") != std::string::npos; }

// Upper case is as lower.
bool ends_in(std::string name, const std::vector<std::string>& suffixes) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](const std::string& suffix) { return name.ends_with(suffix); });
}

Result<std::vector<std::string>> files_of_folder(const std::string& folder,
                                                 const std::vector<std::string>& suffixes) {
  std::vector<std::string> found;
  TRY(for_each_entry(folder, [&](const std::string& name) -> Result<void> {
    if (name.starts_with(".") || !ends_in(name, suffixes)) return {};
    const std::string path = folder.ends_with("/") ? folder + name : folder + "/" + name;
    if (!TRY(is_folder(path))) found.push_back(path);
    return {};
  }));
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> files_of_glob(const std::string& pattern) {
  std::vector<std::string> found;
  glob_t matches{};
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches) == 0) {
    for (size_t i = 0; i < matches.gl_pathc; ++i) found.emplace_back(matches.gl_pathv[i]);
  }
  ::globfree(&matches);
  std::sort(found.begin(), found.end());
  return found;
}

// Names stand in journals and reports, whose text is UTF-8.
Result<void> check_names(std::span<const std::string> paths) {
  for (const std::string& path : paths) {
    if (!is_utf8(path))
      return fail(Code::kUsage,
                  printable(path, path.size()) + ": the name is not UTF-8; rename the file");
  }
  return {};
}

}  // namespace

Result<void> refuse_remote(const std::string& path) {
  if (path.find("://") == std::string::npos) return {};
  return fail(Code::kUsage, fmt::format("{}: only files are supported here so far", path));
}

Result<std::unique_ptr<Source>> open_source(const std::string& path) {
  TRY(refuse_remote(path));
  const auto there = TRY(look_at(path));  // opening a pipe would wait for its writer
  if (there && there->is_folder()) return fail(Code::kInvalid, path + ": is a folder, not a file");
  if (there && !there->is_file()) {
    return fail(Code::kInvalid,
                path +
                    ": is not a regular file; what comes through a pipe is needed more than once: "
                    "write it to a file first");
  }
  File file = TRY(File::open(path));
  const FileInfo info = TRY(file.info());
  return source_of(std::move(file), info);
}

std::unique_ptr<Source> source_of(File file, const FileInfo& info) {
  return std::make_unique<FileSource>(std::move(file), info);
}

std::unique_ptr<Source> view_of(const File& file, uint64_t size) {
  return std::make_unique<FileView>(file, size);
}

Result<std::string> read_small_file(const std::string& path, uint64_t max_size) {
  const File file = TRY(File::open(path));
  const FileInfo info = TRY(file.info());
  if (info.size > max_size)
    return fail(Code::kTooLarge, path + ": is larger than " + to_string(Bytes(max_size)));
  std::string text(info.size, '\0');
  TRY(file.read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  return text;
}

Result<std::vector<std::string>> expand_paths(const std::vector<std::string>& words,
                                              const std::vector<std::string>& suffixes) {
  std::vector<std::string> files;
  for (const std::string& word : words) {
    TRY(refuse_remote(word));
    const auto there = TRY(look_at(word));
    if (there && there->is_folder()) {
      const auto found = TRY(files_of_folder(word, suffixes));
      if (found.empty()) {
        return fail(Code::kNotFound, fmt::format("{}: holds no file that ends in {}", word,
                                                 fmt::join(suffixes, ", ")));
      }
      files.insert(files.end(), found.begin(), found.end());
    } else if (!there && is_glob(word)) {
      const auto found = files_of_glob(word);
      if (found.empty()) return fail(Code::kNotFound, fmt::format("{}: matches no file", word));
      files.insert(files.end(), found.begin(), found.end());
    } else if (there) {
      files.push_back(word);
    } else {
      return fail(Code::kNotFound, fmt::format("{}: no such file", word));
    }
  }
  TRY(check_names(files));
  return files;
}

}  // namespace spillway
