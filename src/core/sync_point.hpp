// Places where a test may step in between two steps of a thread, to force an interleaving.
//
//   SYNC_POINT("budget.acquire.stopped");
//
// costs nothing without SPILLWAY_FAULTS. In test builds it calls what the test put there with
// sync_point::on(), or nothing. Every name stands in kNames; another one does not compile.
//
// Threads  Any; the callback runs on the thread that passes, which holds no mutex of ours.
// Source   The idea is RocksDB's (test_util/sync_point.h).
#pragma once

#include <array>
#include <functional>
#include <string_view>

namespace spillway::sync_point {

inline constexpr std::array<std::string_view, 2> kNames = {
    "budget.acquire.waiting",  // a waiter is queued and about to sleep
    "budget.acquire.stopped",  // it was asked to stop and has not yet left the queue
};

// The index of a name in kNames; does not compile for any other.
consteval size_t index_of(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return i;
  }
  throw "not a name in kNames";
}

#ifdef SPILLWAY_FAULTS
// From now on `pass` is called at the point; an empty function takes it away.
void set(size_t index, std::function<void()> pass);
void reach(size_t index);

// Puts a callback at a point for a scope. `index`: index_of("...").
class Hook {
 public:
  Hook(size_t index, std::function<void()> pass) : index_(index) { set(index_, std::move(pass)); }
  ~Hook() { set(index_, nullptr); }
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;

 private:
  size_t index_;
};
#endif

}  // namespace spillway::sync_point

#ifdef SPILLWAY_FAULTS
#define SYNC_POINT(name) ::spillway::sync_point::reach(::spillway::sync_point::index_of(name))
#else
#define SYNC_POINT(name) ((void)::spillway::sync_point::index_of(name))
#endif
