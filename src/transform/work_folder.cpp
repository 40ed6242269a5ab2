#include "transform/work_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "core/durable_file.hpp"

namespace spillway::transform {

namespace fs = std::filesystem;

Result<WorkFolder> WorkFolder::open(const std::string& out) {
  WorkFolder folder;
  folder.path_ = out + ".spillway";
  std::error_code error;
  const fs::path parent = fs::path(out).parent_path();
  if (!parent.empty() && !fs::is_directory(parent, error))
    return fail(Code::kNotFound, fmt::format("{}: there is no folder {}", out, parent.string()));
  folder.was_there_ = fs::exists(folder.journal(), error);
  fs::create_directory(folder.path_, error);
  if (error) return fail(Code::kIo, fmt::format("creating {}: {}", folder.path_, error.message()));
  folder.lock_ = ::open(folder.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder.lock_ < 0) return fail_errno("opening " + folder.path_);
  if (::flock(folder.lock_, LOCK_EX | LOCK_NB) != 0)
    return fail(Code::kInvalid, fmt::format("{}: another spillway is writing it", out));
  return folder;
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      was_there_(other.was_there_) {}

WorkFolder::~WorkFolder() {
  if (lock_ >= 0) ::close(lock_);
}

std::string WorkFolder::runs(unsigned step) const {
  return fmt::format("{}/step-{}-runs", path_, step);
}

Result<void> WorkFolder::make(const std::string& folder) const {
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return fail(Code::kIo, fmt::format("creating {}: {}", folder, error.message()));
  return sync_folder(path_);
}

void WorkFolder::clear() const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_, error)) {
    std::error_code ignored;
    fs::remove_all(entry.path(), ignored);
  }
}

void WorkFolder::remove() const {
  std::error_code error;
  fs::remove_all(path_, error);
}

}  // namespace spillway::transform
