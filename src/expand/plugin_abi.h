/* The C interface of a Spillway problem plugin: a shared library that exports spillway_problem().
 * C99 or C++; nothing else of Spillway is needed to build one:
 *
 *     cc -O2 -shared -fPIC -I DIR-OF-THIS-HEADER/.. -o my_problem.so my_problem.c
 *
 * States    A string of 1..max_state_bytes bytes. Two states are the same when their bytes are; or,
 *           with key(), when their keys are.
 * Order     The order of the initial states and of the successors decides which parent is the first
 *           to discover a state, and with it the result.
 * Repeats   A state always has the same successors in the same order, key, score and text: on every
 *           thread, in every process, on any day. States are expanded more than once, and a run may go
 *           on in another process. Breaches end the run.
 * Threads   create() and destroy() are called once, before and after all else. The other functions are
 *           called by several threads at once on the same `self`: they must not change it. One that
 *           cannot bear that is run with --threads 1.
 * Memory    What is passed in is the caller's and valid during the call, but for argv; push() copies.
 *           What the plugin allocates is no part of Spillway's ledger, but of the process whose memory
 *           --memory limits: keep it small and constant.
 * Failure   No exception may leave a function (one that does ends the run, if it can be caught). A
 *           crash of the plugin is a crash of the run; the same command goes on from the checkpoint.
 * Version   Fields are only ever added at the end: `bytes` tells which ones a plugin was built with,
 *           those it lacks are NULL. `abi` changes when that is not enough.
 */
#ifndef SPILLWAY_PLUGIN_ABI_H
#define SPILLWAY_PLUGIN_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPILLWAY_PROBLEM_ABI 1u
#define SPILLWAY_MAX_STATE_BYTES 65536u

enum { SPILLWAY_OK = 0, SPILLWAY_FULL = 1, SPILLWAY_ERROR = 2 };

/* Takes states one by one. When a push does not return SPILLWAY_OK no more are wanted: return its
 * value at once. The successors of one state may be 98,304 states of 512 KiB in all, the initial
 * states of 4 MiB. */
typedef struct spillway_sink {
  void* context;
  int (*push)(void* context, const uint8_t* state, uint32_t size);
} spillway_sink;

typedef struct spillway_problem_v1 {
  uint32_t abi;             /* SPILLWAY_PROBLEM_ABI */
  uint32_t bytes;           /* sizeof(spillway_problem_v1) */
  uint32_t max_state_bytes; /* 1 to SPILLWAY_MAX_STATE_BYTES */

  /* Names the result and the default output folder: 1 to 40 letters, digits, - and _. */
  const char* name;

  /* Makes the `self` of the other calls. `argv` has the words after the library's name, then a NULL;
   * it stays valid until destroy() returns. NULL: an error, told in `error` as one line. */
  void* (*create)(int argc, const char* const* argv, char* error, size_t error_size);
  void (*destroy)(void* self);

  /* The states of depth 0, at least one; repeats are dropped. And the successors of a state, none to
   * many. Both return SPILLWAY_OK, what push() returned, or another value for an error. */
  int (*initial)(const void* self, const spillway_sink* sink);
  int (*expand)(const void* self, const uint8_t* state, uint32_t size, const spillway_sink* sink);

  /* ---- may be NULL from here on */

  /* What a state is known by, when it is not all its bytes: writes 1..max_state_bytes bytes to `key`,
   * which has room for max_state_bytes, and returns how many. Of states with the same key the one
   * that is found first is kept. */
  uint32_t (*key)(const void* self, const uint8_t* state, uint32_t size, uint8_t* key);

  /* The optimum is the first state found with the greatest score, compared as a pair: score[0], then
   * score[1]. */
  void (*score)(const void* self, const uint8_t* state, uint32_t size, uint64_t score[2]);

  /* A state for people, as UTF-8: writes at most `room` bytes to `text` and returns how many. Printed
   * of the optimum, and a column with --states all. */
  uint32_t (*describe)(const void* self, const uint8_t* state, uint32_t size, char* text,
                       uint32_t room);
} spillway_problem_v1;

/* The one symbol a plugin exports. The description lives as long as the library. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const spillway_problem_v1*
spillway_problem(void);

#ifdef __cplusplus
}
#endif

#endif
