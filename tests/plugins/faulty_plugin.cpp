// A counter that goes to N by steps of 1 and 2, with the fault that its second word names.
//     faulty_plugin.so N [fault]
// A state is 8 bytes, little-endian.
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "expand/plugin_abi.h"

namespace {

#ifdef OTHER_BUILD
[[maybe_unused]] volatile int other_build = 1;
#endif

struct Counter {
  uint64_t end;
  const char* const* argv;  // as it was handed over: it must live as long as this
  int argc;
  mutable std::atomic<uint64_t> calls{0};
  mutable std::atomic<uint64_t> times_3333{0};

  std::string fault() const { return argc > 1 ? argv[1] : ""; }
};

uint64_t number(const uint8_t* state) {
  uint64_t value = 0;
  std::memcpy(&value, state, sizeof value);
  return value;
}

int push(const spillway_sink* sink, uint64_t value) {
  uint8_t state[8];
  std::memcpy(state, &value, sizeof value);
  return sink->push(sink->context, state, sizeof state);
}

void* create(int argc, const char* const* argv, char* error, size_t error_size) {
  if (argc > 1 && std::strcmp(argv[1], "create-throws") == 0)
    throw std::runtime_error("no\nlicence");
  if (argc > 1 && std::strcmp(argv[1], "create-silent") == 0) return nullptr;
  if (argc > 1 && std::strcmp(argv[1], "create-fills") == 0) {
    std::memset(error, 'x', error_size);  // no end
    return nullptr;
  }
  if (argc < 1 || argv[argc] != nullptr) {
    std::snprintf(error, error_size, "wants\na number");
    return nullptr;
  }
  return new Counter{std::strtoull(argv[0], nullptr, 10), argv, argc};
}

void destroy(void* self) {
  const Counter* const counter = static_cast<Counter*>(self);
  const bool throws = counter->fault() == "destroy-throws";
  delete counter;
  if (throws) throw 1;
}

int initial(const void* self, const spillway_sink* sink) {
  const Counter& counter = *static_cast<const Counter*>(self);
  const std::string fault = counter.fault();
  if (fault == "initial-throws") throw std::runtime_error("no disk");
  if (fault == "initial-fails") return 77;
  if (fault == "initial-large") return sink->push(sink->context, nullptr, 9);
  if (fault == "initial-none") return SPILLWAY_OK;
  if (fault == "initial-endless") {
    for (uint64_t i = 0; push(sink, i) == SPILLWAY_OK; ++i) {
    }
    return SPILLWAY_OK;  // though push said no
  }
  return push(sink, 0);
}

int expand(const void* self, const uint8_t* state, uint32_t size, const spillway_sink* sink) {
  const Counter& counter = *static_cast<const Counter*>(self);
  const std::string fault = counter.fault();
  const uint64_t value = number(state);
  const uint64_t call = counter.calls++;
  if (size != 8) return 99;
  if (value == 50) {
    if (fault == "expand-throws") throw std::out_of_range("at 50");
    if (fault == "expand-throws-int") throw 50;
    if (fault == "expand-fails") return 78;
    if (fault == "expand-full") return SPILLWAY_FULL;
    if (fault == "expand-empty") return sink->push(sink->context, state, 0);
    if (fault == "expand-large") {
      const std::vector<uint8_t> large(9);
      sink->push(sink->context, large.data(), 9);
      return SPILLWAY_OK;  // as if nothing had been wrong
    }
    if (fault == "expand-null") return sink->push(sink->context, nullptr, 8);
  }
  if (fault == "differs-at-once" && value == 0) return push(sink, call + 1);
  if (value >= counter.end) return SPILLWAY_OK;
  // A wide tree, 4 n + 1 .. 4 n + 4, with one state that differs the second time.
  if (fault.rfind("wide", 0) == 0) {
    const bool again = value == 3333 && counter.times_3333++ > 0;
    for (uint64_t i = 1; i <= 4; ++i) {
      uint64_t next = 4 * value + i;
      if (again && fault == "wide-differs") next += 1000000000;
      if (again && fault == "wide-swaps") next = 4 * value + 5 - i;
      if (const int pushed = push(sink, next); pushed != SPILLWAY_OK) return pushed;
    }
    return SPILLWAY_OK;
  }
  if (fault == "ignores-full") {  // 10 successors, whatever push says
    for (uint64_t i = 1; i <= 10; ++i) push(sink, value * 10 + i);
    return SPILLWAY_OK;
  }
  if (const int pushed = push(sink, value + 1); pushed != SPILLWAY_OK) return pushed;
  return push(sink, value + 2);
}

// With `modulo-...`: what a state leaves over when divided by 7.
uint32_t key(const void* self, const uint8_t* state, uint32_t size, uint8_t* key) {
  const std::string fault = static_cast<const Counter*>(self)->fault();
  if (fault == "key-throws" && number(state) == 50) throw std::runtime_error("no key");
  if (fault == "key-large" && number(state) == 50) return 9;
  if (fault == "key-none" && number(state) == 50) return 0;
  if (fault == "modulo") {
    key[0] = static_cast<uint8_t>(number(state) % 7);
    return 1;
  }
  std::memcpy(key, state, size);
  return size;
}

void score(const void* self, const uint8_t* state, uint32_t, uint64_t score[2]) {
  const std::string fault = static_cast<const Counter*>(self)->fault();
  if (fault == "score-throws" && number(state) == 50) throw std::runtime_error("no score");
  score[0] = number(state) % 10;
  score[1] = number(state) % 4;
}

uint32_t describe(const void* self, const uint8_t* state, uint32_t, char* text, uint32_t room) {
  const std::string fault = static_cast<const Counter*>(self)->fault();
  if (fault == "describe-throws") throw std::runtime_error("no words");
  if (fault == "describe-large") return room + 1;
  if (fault == "describe-bytes") {
    std::memcpy(text, "a\xFF\xC3\xA4\xC3", 5);
    return 5;
  }
  return static_cast<uint32_t>(
      std::snprintf(text, room, "number %d", static_cast<int>(number(state))));
}

const spillway_problem_v1 kProblem{
#ifdef BAD_ABI
    .abi = 7,
#else
    .abi = SPILLWAY_PROBLEM_ABI,
#endif
#ifdef BAD_BYTES
    .bytes = 8,
#elif defined(WITHOUT_OPTIONAL)
    .bytes = offsetof(spillway_problem_v1, key),
#else
    .bytes = sizeof(spillway_problem_v1),
#endif
#ifdef BAD_STATE_BYTES
    .max_state_bytes = 65537,
#else
    .max_state_bytes = 8,
#endif
#ifdef BAD_NAME
    .name = "../counter",
#else
    .name = "counter",
#endif
    .create = create,
    .destroy = destroy,
    .initial = initial,
#ifndef BAD_NO_EXPAND
    .expand = expand,
#else
    .expand = nullptr,
#endif
    .key = key,
    .score = score,
    .describe = describe,
};

}  // namespace

extern "C" const spillway_problem_v1* spillway_problem(void) {
#ifdef BAD_NO_EXPAND
  (void)expand;
#endif
#ifdef BAD_NULL
  return nullptr;
#else
  return &kProblem;
#endif
}
