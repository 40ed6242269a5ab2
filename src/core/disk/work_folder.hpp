// The folder where a job keeps what must survive a kill; one process at a time.
//
// One file in it, the anchor (a checkpoint, a journal), names the others. It is removed first and for
// good before anything it names: as long as it is there, what it names is there, also when a kill
// comes while a finished job tidies up.
//
// Threads  One.
// Fails    kIo; kNotFound, no folder to make it in; kInvalid, when another process is in it, or when
//          the output folder is a file or holds something else.
#pragma once

#include <string>

#include "core/file/file.hpp"
#include "core/result.hpp"

namespace spillway {

class WorkFolder {
 public:
  // `OUT/.spillway`, for a job that writes a folder. Made with `out` when missing. `out` must be empty,
  // or hold a work folder or the file `result` of a finished run.
  [[nodiscard]] static Result<WorkFolder> inside(const std::string& out, std::string anchor,
                                                 const std::string& result);
  // `OUT.spillway`, for a job that writes one file.
  [[nodiscard]] static Result<WorkFolder> beside(const std::string& out, std::string anchor);

  const std::string& path() const { return path_; }
  std::string anchor() const { return path_ + "/" + anchor_; }
  [[nodiscard]] Result<bool> has_anchor() const;  // an earlier run left something to continue

  [[nodiscard]] Result<void> clear() const;   // everything in it, the anchor first
  [[nodiscard]] Result<void> remove() const;  // and itself
  // As if there had been no run: `out` goes too. Beside results that stand there it stays, empty: it
  // tells the next run that the folder is its own.
  [[nodiscard]] Result<void> leave_nothing(const std::string& out) const;

 private:
  WorkFolder(std::string path, std::string anchor)
      : path_(std::move(path)), anchor_(std::move(anchor)) {}
  Result<void> lock(const std::string& out);

  std::string path_;
  std::string anchor_;
  File lock_;
};

}  // namespace spillway
