#include "core/file/folders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/fault.hpp"
#include "core/file/info_of.hpp"

namespace spillway {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

enum class Links { kFollow, kStay };

Result<std::optional<FileInfo>> look(const std::string& path, Links links) {
  struct stat status {};
  const int flags = links == Links::kStay ? AT_SYMLINK_NOFOLLOW : 0;
  if (!fault::fails(fault::Site::kStat) && ::fstatat(AT_FDCWD, path.c_str(), &status, flags) == 0)
    return info_of(status);
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<FileInfo>();
  return fail_errno("looking at " + path);
}

Result<void> walk(const std::string& folder, const std::string& below, const TakeFile& take) {
  return for_each_entry(folder, [&](const std::string& name) -> Result<void> {
    const std::string path = folder + "/" + name;
    auto info = TRY(look(path, Links::kStay));
    if (info && info->is_folder()) return walk(path, below + name + "/", take);
    if (info && !info->is_file()) info = TRY(look(path, Links::kFollow));  // a link, maybe
    return info && info->is_file() ? take(below + name, *info) : Result<void>();
  });
}

}  // namespace

Result<void> for_each_file_below(const std::string& folder, const TakeFile& take) {
  return walk(folder, "", take);
}

Result<std::optional<FileInfo>> look_at(const std::string& path) {
  return look(path, Links::kFollow);
}

Result<void> must_be_unchanged(const std::string& path, const FileInfo& before) {
  if (TRY(look_at(path)).value_or(FileInfo()) == before) return {};
  return fail(changed_while_read(path));
}

Error changed_while_read(const std::string& path) {
  return Error(Code::kConflict, path +
                                    ": was changed while it was read; run the same command again "
                                    "when nobody writes there");
}

Result<bool> exists(const std::string& path) { return TRY(look_at(path)).has_value(); }

Result<bool> is_folder(const std::string& path) {
  const auto info = TRY(look_at(path));
  return info && info->is_folder();
}

Result<bool> is_file(const std::string& path) {
  const auto info = TRY(look_at(path));
  return info && info->is_file();
}

Result<bool> any_entry(const std::string& folder,
                       const std::function<bool(const std::string&)>& is_it) {
  const std::unique_ptr<DIR, CloseFolder> opened(
      fault::fails(fault::Site::kOpen) ? nullptr : ::opendir(folder.c_str()));
  if (!opened) return fail_errno("opening " + folder);
  while (true) {
    errno = 0;
    const dirent* const entry =
        fault::fails(fault::Site::kList) ? nullptr : ::readdir(opened.get());
    if (entry == nullptr && errno != 0) return fail_errno("listing " + folder);
    if (entry == nullptr) return false;
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && is_it(name)) return true;
  }
}

Result<void> for_each_entry(const std::string& folder,
                            const std::function<Result<void>(const std::string&)>& take) {
  Result<void> taken;
  TRY(any_entry(folder, [&](const std::string& name) {
    taken = take(name);
    return !taken;
  }));
  return taken;
}

Result<bool> is_empty_folder(const std::string& folder) {
  return !TRY(any_entry(folder, [](const std::string&) { return true; }));
}

Result<void> check_writable(const std::string& folder) {
  if (fault::fails(fault::Site::kStat) || ::access(folder.c_str(), W_OK | X_OK) != 0)
    return fail_errno("cannot write in " + folder);
  return {};
}

Result<void> make_folders(const std::string& path) {
  const auto there = TRY(look_at(path));
  if (there && there->is_folder()) return {};
  if (there) return fail(Code::kInvalid, path + ": is a file, where a folder is wanted");
  const std::string above = folder_of(path);
  if (above != path) TRY(make_folders(above));
  if ((fault::fails(fault::Site::kMkdir) || ::mkdir(path.c_str(), 0777) != 0) && errno != EEXIST)
    return fail_errno("creating " + path);
  return sync_folder(above);
}

Result<void> rename_file(const std::string& from, const std::string& to) {
  if (fault::fails(fault::Site::kRename) || ::rename(from.c_str(), to.c_str()) != 0)
    return fail_errno("renaming to " + to);
  return {};
}

Result<bool> remove_file(const std::string& path) {
  if (!fault::fails(fault::Site::kUnlink) && std::remove(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_errno("removing " + path);
}

Result<void> remove_tree(const std::string& path) {
  const auto info = TRY(look(path, Links::kStay));
  if (!info) return {};
  if (info->is_folder()) {
    TRY(for_each_entry(path,
                       [&](const std::string& name) { return remove_tree(path + "/" + name); }));
  }
  TRY(remove_file(path));
  return {};
}

Result<void> sync_folder(const std::string& folder) {
  File file = TRY(File::open_folder(folder));
  return file.sync_names();
}

Result<DiskInfo> disk_under(const std::string& folder) {
  struct statfs disk {};
  if (fault::fails(fault::Site::kStat) || ::statfs(folder.c_str(), &disk) != 0)
    return fail_errno("looking at the disk under " + folder);
  return DiskInfo{static_cast<uint64_t>(disk.f_bavail) * static_cast<uint64_t>(disk.f_frsize),
                  disk.f_type == TMPFS_MAGIC};
}

namespace {

// Without links; nothing when it leads nowhere.
Result<std::optional<std::string>> real_path(const std::string& path) {
  struct FreeText {
    void operator()(char* text) const { std::free(text); }
  };
  const std::unique_ptr<char, FreeText> real(
      fault::fails(fault::Site::kStat) ? nullptr : ::realpath(path.c_str(), nullptr));
  if (real) return std::optional<std::string>(real.get());
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>();
  return fail_errno("looking at " + path);
}

}  // namespace

Result<bool> is_within(const std::string& path, const std::string& folder) {
  const auto root = TRY(real_path(folder));
  if (!root) return false;
  const auto inside = [&](const std::optional<std::string>& real) {
    return real && (*real == *root || real->starts_with(*root == "/" ? *root : *root + "/"));
  };
  return inside(TRY(real_path(path))) || inside(TRY(real_path(folder_of(path))));
}

std::string folder_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');  // "a/b/" is in "a"
  if (end == std::string::npos) return path.empty() ? "." : "/";
  const size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return {};
  const size_t slash = path.rfind('/', end);
  return path.substr(slash + 1, end - slash);
}

}  // namespace spillway
