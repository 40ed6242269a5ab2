// A look, before any work, at the names a job will write to: what would fail at its end fails at
// its start, and no file goes that is not the job's own.
//
// Refused  A name that is one of the inputs, or one that the job writes by itself, whatever the
//          options; two outputs of one name; a file that stands there and is not the job's own
//          earlier result, unless `overwrite`; a folder, device or pipe; a folder to write in that
//          is not there or not writable, or takes no new file; a name that is too long.
// Threads  One. Cost: some stat calls, and is_own() where a file stands.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/file/file.hpp"
#include "core/result.hpp"

namespace spillway {

struct OutputName {
  std::string option;  // "--out"
  std::string path;    // empty: not wanted
  // Whether the file that stands there is what an earlier run of this very job wrote.
  std::function<bool(const std::string& path)> is_own;
  std::string made_folder;  // a folder that the job makes when it is missing
};

struct OutputRules {
  std::vector<std::string> inputs;  // what is read; names that lead nowhere do not matter
  std::vector<std::string> own;     // files and folders that the job writes by itself
  bool overwrite = false;
};

[[nodiscard]] Result<void> check_outputs(std::span<const OutputName> outputs,
                                         const OutputRules& rules);

// What stood at a name when the job began. The job replaces that, and nothing that came there since.
class StandingFile {
 public:
  [[nodiscard]] static Result<StandingFile> look(std::string path);
  // To be asked just before the name is given to a result. kConflict.
  [[nodiscard]] Result<void> must_be_as_it_was() const;

 private:
  std::string path_;
  std::optional<FileInfo> before_;
};

// An earlier report of ours, JSON or page.
bool is_own_report(const std::string& path);

}  // namespace spillway
