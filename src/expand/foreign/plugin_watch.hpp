// Watches the calls into plugins: code of others in this process, which may never return or end the
// process.
//
// Ends     exit() and quick_exit() in a plugin, in any of its threads while it is loaded, end the
//          process with exit 1 and a line that names the plugin and the call. (_exit() cannot be seen.)
// Hangs    A call that has not returned kPatience after the stop ends the process in the same way, as
//          kill -9 would: every checkpoint stays.
// Threads  One that waits, a watch. Calls are marked by the thread that makes them: two stores.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace spillway::expand {

class PluginWatch {
 public:
  static constexpr std::chrono::milliseconds kPatience{1500};

  PluginWatch(std::string file, std::stop_token stop);
  ~PluginWatch();
  PluginWatch(const PluginWatch&) = delete;
  PluginWatch& operator=(const PluginWatch&) = delete;

  // While it lives, the calling thread is in `function` of the plugin.
  class Call {
   public:
    Call(const PluginWatch& watch, const char* function);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
  };

 private:
  void wait(const std::stop_token& end, const std::stop_token& stop);

  const std::string file_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

}  // namespace spillway::expand
