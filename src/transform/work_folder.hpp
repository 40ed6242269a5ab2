// `<out>.spillway/`, where a run keeps what must survive a kill; one process at a time.
//
// Threads  One.
// Fails    kIo; kInvalid when another process is in it.
#pragma once

#include <string>
#include <utility>

#include "core/result.hpp"

namespace spillway::transform {

class WorkFolder {
 public:
  // Makes the folder, or enters the one that is there.
  [[nodiscard]] static Result<WorkFolder> open(const std::string& out);
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();

  bool was_there() const { return was_there_; }  // with a journal in it
  const std::string& path() const { return path_; }
  std::string journal() const { return path_ + "/journal"; }
  std::string partial(const std::string& name) const { return path_ + "/" + name + ".partial"; }
  std::string runs(unsigned step) const;  // the folder of a step's sorted runs
  [[nodiscard]] Result<void> make(const std::string& folder) const;
  void clear() const;   // everything in it
  void remove() const;  // and itself

 private:
  WorkFolder() = default;
  std::string path_;
  int lock_ = -1;
  bool was_there_ = false;
};

}  // namespace spillway::transform
