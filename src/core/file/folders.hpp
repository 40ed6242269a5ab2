// Names of files and folders: looking, listing, making, renaming, removing, each call with a fault
// site. What the system refuses to tell is an error, never "not there".
//
// Threads  Any.
// Fails    by errno's class (core/result.hpp).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file/file.hpp"
#include "core/result.hpp"

namespace spillway {

// Of what a name leads to; nothing when it leads nowhere (or to a broken link).
[[nodiscard]] Result<std::optional<FileInfo>> look_at(const std::string& path);
// kConflict, naming it, when the name leads to anything else than it did, or elsewhere.
[[nodiscard]] Result<void> must_be_unchanged(const std::string& path, const FileInfo& before);
[[nodiscard]] Error changed_while_read(const std::string& path);
[[nodiscard]] Result<bool> exists(const std::string& path);
[[nodiscard]] Result<bool> is_folder(const std::string& path);
[[nodiscard]] Result<bool> is_file(const std::string& path);

// Calls `take(name)` for each entry of a folder but "." and "..", in no order. Holds no list.
[[nodiscard]] Result<void> for_each_entry(
    const std::string& folder, const std::function<Result<void>(const std::string& name)>& take);
// Whether `is_it(name)` says so of one of them; it is called no more then.
[[nodiscard]] Result<bool> any_entry(const std::string& folder,
                                     const std::function<bool(const std::string& name)>& is_it);
// The files below a folder, by their way from there ("a/b"); links to folders are not followed.
using TakeFile = std::function<Result<void>(const std::string& name, const FileInfo& info)>;
[[nodiscard]] Result<void> for_each_file_below(const std::string& folder, const TakeFile& take);
[[nodiscard]] Result<bool> is_empty_folder(const std::string& folder);

// Refused by the folder's permissions or its file system: an error.
[[nodiscard]] Result<void> check_writable(const std::string& folder);

// Makes a folder and those above it that are missing, each durable in the one that holds it.
[[nodiscard]] Result<void> make_folders(const std::string& path);
[[nodiscard]] Result<void> rename_file(const std::string& from, const std::string& to);
// A file or an empty folder. False: it was not there.
[[nodiscard]] Result<bool> remove_file(const std::string& path);
// With all that is in it; links are not followed.
[[nodiscard]] Result<void> remove_tree(const std::string& path);
// The names in a folder are on the disk.
[[nodiscard]] Result<void> sync_folder(const std::string& folder);
struct DiskInfo {
  uint64_t free = 0;       // bytes, for us
  bool is_memory = false;  // tmpfs
};
[[nodiscard]] Result<DiskInfo> disk_under(const std::string& folder);

// Whether `path`, which need not be there, leads into `folder` or lies in it, links followed.
[[nodiscard]] Result<bool> is_within(const std::string& path, const std::string& folder);

// Of `path`: "." when it has none.
std::string folder_of(const std::string& path);
std::string name_of(const std::string& path);  // in that folder

}  // namespace spillway
