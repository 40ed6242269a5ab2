#include "format/source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/disk/durable_file.hpp"
#include "core/disk/file_io.hpp"

namespace spillway::format {
namespace {

namespace fs = std::filesystem;

class FileSource final : public Source {
 public:
  FileSource(int fd, std::string name, uint64_t size, std::string identity, bool owned)
      : fd_(fd),
        name_(std::move(name)),
        size_(size),
        identity_(std::move(identity)),
        owned_(owned) {}
  ~FileSource() override {
    if (owned_) ::close(fd_);
  }
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const override {
    return read_fully_at(fd_, offset, out, name_);
  }
  uint64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }
  std::string identity() const override { return identity_; }

 private:
  int fd_;
  std::string name_;
  uint64_t size_;
  std::string identity_;
  bool owned_;
};

class FileSink final : public Sink {
 public:
  FileSink(int fd, std::string path, std::string partial)
      : fd_(fd), path_(std::move(path)), partial_(std::move(partial)) {}
  ~FileSink() override {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(partial_.c_str());
  }
  Result<void> append(std::span<const uint8_t> data) override {
    TRY(write_fully_at(fd_, size_, data, path_));
    size_ += data.size();
    return {};
  }
  uint64_t size() const override { return size_; }
  const std::string& name() const override { return path_; }
  Result<std::unique_ptr<Source>> read_back() override {
    return std::make_unique<FileSource>(fd_, partial_, size_, std::string(), false);
  }
  Result<void> commit() && override {
    TRY(sync_file(fd_, path_));
    TRY(adopt_durably(partial_, path_));
    ::close(fd_);
    fd_ = -1;
    return {};
  }

 private:
  int fd_;
  std::string path_, partial_;
  uint64_t size_ = 0;
};

bool is_glob(const std::string& word) { return word.find_first_of("*?[") != std::string::npos; }

Result<void> refuse_remote(const std::string& path) {
  if (path.find("://") == std::string::npos) return {};
  return fail(Code::kUsage, fmt::format("{}: only files are supported here so far", path));
}

bool ends_in(const std::string& name, const std::vector<std::string>& suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](const std::string& suffix) { return name.ends_with(suffix); });
}

Result<std::vector<std::string>> files_of_folder(const std::string& folder,
                                                 const std::vector<std::string>& suffixes) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(".") || !ends_in(name, suffixes) || at->is_directory()) continue;
    found.push_back(at->path().string());
  }
  if (error) return fail(Code::kIo, fmt::format("reading {}: {}", folder, error.message()));
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

}  // namespace

Result<std::unique_ptr<Source>> open_source(const std::string& path) {
  TRY(refuse_remote(path));
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is told, not waited for
  if (fd < 0) {
    const int error = errno;
    return fail(error == ENOENT ? Error(Code::kNotFound, path + ": no such file", error)
                                : Error::from_errno("opening " + path, error));
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(Code::kInvalid,
                path +
                    ": is not a regular file; what comes through a pipe is needed more than once: "
                    "write it to a file first");
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  return std::make_unique<FileSource>(
      fd, path, size,
      fmt::format("{} {}.{:09}", size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec), true);
}

Result<std::unique_ptr<Sink>> create_sink(const std::string& path, SinkOptions options) {
  TRY(refuse_remote(path));
  const std::string partial = options.partial.empty() ? path + ".partial" : options.partial;
  const int fd = ::open(partial.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail_errno("creating " + partial);
  return std::make_unique<FileSink>(fd, path, partial);
}

Result<std::vector<std::string>> expand_paths(const std::vector<std::string>& words,
                                              const std::vector<std::string>& suffixes) {
  std::vector<std::string> files;
  for (const std::string& word : words) {
    TRY(refuse_remote(word));
    std::error_code error;
    if (fs::is_directory(word, error)) {
      const auto found = TRY(files_of_folder(word, suffixes));
      if (found.empty()) {
        return fail(Code::kNotFound, fmt::format("{}: holds no file that ends in {}", word,
                                                 fmt::join(suffixes, ", ")));
      }
      files.insert(files.end(), found.begin(), found.end());
    } else if (!fs::exists(word, error) && is_glob(word)) {
      const auto found = files_of_glob(word);
      if (found.empty()) return fail(Code::kNotFound, fmt::format("{}: matches no file", word));
      files.insert(files.end(), found.begin(), found.end());
    } else if (fs::exists(word, error)) {
      files.push_back(word);
    } else {
      return fail(Code::kNotFound, fmt::format("{}: no such file", word));
    }
  }
  return files;
}

}  // namespace spillway::format
