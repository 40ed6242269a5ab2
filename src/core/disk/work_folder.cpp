#include "core/disk/work_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "core/disk/durable_file.hpp"

namespace spillway {

namespace fs = std::filesystem;

Result<WorkFolder> WorkFolder::inside(const std::string& out, std::string anchor,
                                      const std::string& result) {
  std::error_code error;
  if (fs::exists(out, error) && !fs::is_directory(out, error))
    return fail(Code::kInvalid, fmt::format("{}: is a file; --out wants a folder", out));
  WorkFolder folder(out + "/.spillway", std::move(anchor));
  const bool ours = fs::exists(folder.path_, error) || fs::exists(out + "/" + result, error);
  if (!ours && fs::exists(out, error) && !fs::is_empty(out, error))
    return fail(Code::kInvalid,
                fmt::format("{}: is not empty; choose another folder with --out", out));
  fs::create_directories(folder.path_, error);
  if (error) return fail(Code::kIo, fmt::format("creating {}: {}", folder.path_, error.message()));
  TRY(folder.lock(out));
  return folder;
}

Result<WorkFolder> WorkFolder::beside(const std::string& out, std::string anchor) {
  std::error_code error;
  const fs::path parent = fs::path(out).parent_path();
  if (!parent.empty() && !fs::is_directory(parent, error))
    return fail(Code::kNotFound, fmt::format("{}: there is no folder {}", out, parent.string()));
  WorkFolder folder(out + ".spillway", std::move(anchor));
  fs::create_directory(folder.path_, error);
  if (error) return fail(Code::kIo, fmt::format("creating {}: {}", folder.path_, error.message()));
  TRY(folder.lock(out));
  return folder;
}

Result<void> WorkFolder::lock(const std::string& out) {
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) return fail_errno("opening " + path_);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0)
    return fail(Code::kInvalid, fmt::format("{}: another spillway is running in it", out));
  return {};
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::move(other.path_)),
      anchor_(std::move(other.anchor_)),
      lock_(std::exchange(other.lock_, -1)) {}

WorkFolder::~WorkFolder() {
  if (lock_ >= 0) ::close(lock_);
}

bool WorkFolder::has_anchor() const {
  std::error_code error;
  return fs::exists(anchor(), error);
}

Result<void> WorkFolder::clear() const {
  std::error_code error;
  const bool removed = fs::remove(anchor(), error);
  if (error) return fail(Code::kIo, fmt::format("removing {}: {}", anchor(), error.message()));
  if (removed) TRY(sync_folder(path_));
  for (auto at = fs::directory_iterator(path_, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    std::error_code ignored;  // what stays is reported when its name is wanted again
    fs::remove_all(at->path(), ignored);
  }
  if (error) return fail(Code::kIo, fmt::format("clearing {}: {}", path_, error.message()));
  return {};
}

Result<void> WorkFolder::remove() const {
  TRY(clear());
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) return fail(Code::kIo, fmt::format("removing {}: {}", path_, error.message()));
  return {};
}

}  // namespace spillway
