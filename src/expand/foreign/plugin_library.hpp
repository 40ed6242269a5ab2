// A loaded plugin and its one instance: plugin_abi.h with nothing in it that can hurt unseen.
//
// Every call catches what the plugin throws. Calls that cannot fail where they are needed (key, score,
// describe) remember the first fault instead, and fault() tells. Calls that do not return after `stop`,
// or that end the process, are its fault too (plugin_watch.hpp).
//
// Threads  All const functions may be called by several at once.
// Fails    kInvalid, one line that begins with "plugin FILE:".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/mutex.hpp"
#include "core/result.hpp"
#include "expand/foreign/plugin_watch.hpp"
#include "expand/plugin_abi.h"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

// Gets what the plugin pushes. Says no by returning false; no more is taken then.
class StateSink {
 public:
  explicit StateSink(uint32_t max_state_bytes) : max_state_bytes_(max_state_bytes) {}
  virtual ~StateSink() = default;
  static int push(void* context, const uint8_t* state, uint32_t size) noexcept;

  bool is_full() const { return full_; }
  const std::string& fault() const { return fault_; }  // "" for none

 private:
  virtual bool take(std::span<const uint8_t> state) = 0;

  uint32_t max_state_bytes_;
  bool full_ = false;
  std::string fault_;
};

class PluginLibrary {
 public:
  [[nodiscard]] static Result<std::shared_ptr<const PluginLibrary>> open(
      const std::string& file, std::vector<std::string> words, std::stop_token stop = {});
  ~PluginLibrary();
  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;

  const std::string& file() const { return file_; }
  const std::vector<std::string>& words() const { return words_; }
  uint64_t file_hash() const { return file_hash_; }
  std::string name() const { return name_; }
  uint32_t max_state_bytes() const { return problem_.max_state_bytes; }
  bool has_key() const { return problem_.key != nullptr; }
  bool has_score() const { return problem_.score != nullptr; }
  bool has_describe() const { return problem_.describe != nullptr; }

  // They succeed when the sink is full: ask it.
  [[nodiscard]] Result<void> initial(StateSink& sink) const;
  [[nodiscard]] Result<void> expand(std::span<const uint8_t> state, StateSink& sink) const;

  Fingerprint fingerprint(std::span<const uint8_t> state) const;  // of its key, or of its bytes
  Score score(std::span<const uint8_t> state) const;
  std::string text(std::span<const uint8_t> state) const;  // well-formed UTF-8
  [[nodiscard]] Result<void> fault() const;                // the first of the three above

  // "plugin FILE: <what>"
  tl::unexpected<Error> failed(const std::string& what) const;

 private:
  PluginLibrary() = default;
  Result<void> load();
  Result<void> hash_file();
  Result<void> check();
  Result<void> create();
  template <class Call>
  Result<int> guarded(const char* function, Call&& call) const;
  Result<void> outcome(const char* function, const Result<int>& result,
                       const StateSink& sink) const;
  void remember(Error error) const;

  std::string file_, name_;
  std::unique_ptr<PluginWatch> watch_;
  std::vector<std::string> words_;
  std::vector<const char*> argv_;  // of words_, for the plugin's life
  void* handle_ = nullptr;
  void* self_ = nullptr;
  spillway_problem_v1 problem_{};  // what the plugin lacks is NULL
  uint64_t file_hash_ = 0;
  mutable Mutex mutex_;
  mutable std::optional<Error> fault_ GUARDED_BY(mutex_);
};

}  // namespace spillway::expand
