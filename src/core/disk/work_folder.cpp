#include "core/disk/work_folder.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/file/folders.hpp"

namespace spillway {

Result<WorkFolder> WorkFolder::inside(const std::string& out, std::string anchor,
                                      const std::string& result) {
  const auto there = TRY(look_at(out));
  if (there && !there->is_folder())
    return fail(Code::kInvalid, fmt::format("{}: is a file; --out wants a folder", out));
  WorkFolder folder(out + "/.spillway", std::move(anchor));
  const bool ours = TRY(exists(folder.path_)) || TRY(exists(out + "/" + result));
  if (there && !ours && !TRY(is_empty_folder(out)))
    return fail(Code::kInvalid,
                fmt::format("{}: is not empty; choose another folder with --out", out));
  TRY(make_folders(folder.path_));
  TRY(folder.lock(out));
  return folder;
}

Result<WorkFolder> WorkFolder::beside(const std::string& out, std::string anchor) {
  if (!TRY(is_folder(folder_of(out))))
    return fail(Code::kNotFound, fmt::format("{}: there is no folder {}", out, folder_of(out)));
  WorkFolder folder(out + ".spillway", std::move(anchor));
  TRY(make_folders(folder.path_));
  TRY(folder.lock(out));
  return folder;
}

// The lock is on the folder itself. One that was removed after it was opened is nobody's: another
// process may have made the name anew.
Result<void> WorkFolder::lock(const std::string& out) {
  while (true) {
    lock_ = TRY(File::open_folder(path_));
    if (!TRY(lock_.try_lock()))
      return fail(Code::kInvalid, fmt::format("{}: another spillway is running in it", out));
    const auto named = TRY(look_at(path_));
    if (named && named->is_same_file(TRY(lock_.info()))) return {};
    TRY(make_folders(path_));
  }
}

Result<bool> WorkFolder::has_anchor() const { return exists(anchor()); }

Result<void> WorkFolder::clear() const {
  if (TRY(remove_file(anchor()))) TRY(sync_folder(path_));
  return for_each_entry(path_, [&](const std::string& name) -> Result<void> {
    (void)remove_tree(path_ + "/" + name);  // what stays is reported when its name is wanted again
    return {};
  });
}

Result<void> WorkFolder::remove() const {
  TRY(clear());
  return remove_tree(path_);
}

Result<void> WorkFolder::leave_nothing(const std::string& out) const {
  TRY(clear());
  bool is_alone = true;
  TRY(for_each_entry(out, [&](const std::string& name) -> Result<void> {
    is_alone &= out + "/" + name == path_;
    return {};
  }));
  if (!is_alone) return {};
  TRY(remove());
  TRY(remove_file(out));
  return {};
}

}  // namespace spillway
