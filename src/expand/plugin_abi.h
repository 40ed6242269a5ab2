/* The C interface of a Spillway problem plugin: a shared library that exports spillway_problem().
 *
 * A state is a string of 1..max_state_bytes bytes; equal states have equal bytes. The order of the
 * initial states and of the successors decides the result, and the same state must always give the
 * same successors.
 *
 * Threads   initial() and expand() are called by several threads at once on the same `self`; they
 * must not change it. Memory    `state` is the caller's and valid during the call; push() copies
 * what it is given. Failure   Functions return SPILLWAY_OK, SPILLWAY_FULL (passed on from push, at
 * once), or any other value for an error. No exception may leave a function.
 */
#ifndef SPILLWAY_PLUGIN_ABI_H
#define SPILLWAY_PLUGIN_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPILLWAY_PROBLEM_ABI 1u

enum { SPILLWAY_OK = 0, SPILLWAY_FULL = 1, SPILLWAY_ERROR = 2 };

/* Takes states one by one. A push that does not return SPILLWAY_OK ends the call: return its value.
 */
typedef struct spillway_sink {
  void* context;
  int (*push)(void* context, const uint8_t* state, uint32_t size);
} spillway_sink;

typedef struct spillway_problem_v1 {
  uint32_t abi;             /* SPILLWAY_PROBLEM_ABI */
  uint32_t max_state_bytes; /* at most 65536 */
  const char* name;         /* for people and for the default output folder */
  /* `argv`: the words after the library's name. NULL: an error, told in `error` as one line. */
  void* (*create)(int argc, const char* const* argv, char* error, size_t error_size);
  void (*destroy)(void* self);
  int (*initial)(const void* self, const spillway_sink* sink);
  int (*expand)(const void* self, const uint8_t* state, uint32_t size, const spillway_sink* sink);
} spillway_problem_v1;

/* The one symbol a plugin exports. The description lives as long as the library. */
const spillway_problem_v1* spillway_problem(void);

#ifdef __cplusplus
}
#endif

#endif
