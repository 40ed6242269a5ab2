// Of each reason for which something was refused the first that was met, for the report.
//
// Threads  Any. Memory: a few hundred bytes a reason. Cost: an atomic load once a reason has its example.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <string_view>

#include "core/mutex.hpp"
#include "core/printable.hpp"
#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {

class RefusalExamples {
 public:
  void add(Reason reason, std::string_view molecule, std::string_view message) {
    constexpr size_t kMost = 120;
    const auto index = static_cast<size_t>(reason);
    if (is_taken_[index].exchange(true)) return;
    std::string text = printable(molecule, kMost) + ": " + printable(message, kMost);
    MutexLock lock(mutex_);
    example_[index] = std::move(text);
  }
  // Empty where none was met.
  std::string of(Reason reason) const {
    MutexLock lock(mutex_);
    return example_[static_cast<size_t>(reason)];
  }

 private:
  std::array<std::atomic<bool>, kReasonCount> is_taken_{};
  mutable Mutex mutex_;
  std::array<std::string, kReasonCount> example_ GUARDED_BY(mutex_);
};

}  // namespace spillway::transform
