/* The pancake graph as a plugin in C: spillway expand plugin ./pancake_plugin.so N
 * A state is N bytes, the stack from the top; a step flips the first 2, 3, ... N pancakes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expand/plugin_abi.h"

enum { kMost = 16 };

typedef struct {
  uint32_t n;
} Stack;

static void* create(int argc, const char* const* argv, char* error, size_t error_size) {
  const long n = argc == 1 ? strtol(argv[0], NULL, 10) : 0;
  if (n < 2 || n > kMost) {
    snprintf(error, error_size, "wants one number, the pancakes, from 2 to %d", kMost);
    return NULL;
  }
  Stack* stack = malloc(sizeof *stack);
  if (stack != NULL) stack->n = (uint32_t)n;
  return stack;
}

static int initial(const void* self, const spillway_sink* sink) {
  const Stack* stack = self;
  uint8_t state[kMost];
  for (uint32_t i = 0; i < stack->n; ++i) state[i] = (uint8_t)i;
  return sink->push(sink->context, state, stack->n);
}

static int expand(const void* self, const uint8_t* state, uint32_t size,
                  const spillway_sink* sink) {
  (void)self;
  uint8_t next[kMost];
  for (uint32_t flipped = 2; flipped <= size; ++flipped) {
    memcpy(next, state, size);
    for (uint32_t i = 0; i < flipped; ++i) next[i] = state[flipped - 1 - i];
    const int pushed = sink->push(sink->context, next, size);
    if (pushed != SPILLWAY_OK) return pushed;
  }
  return SPILLWAY_OK;
}

static const spillway_problem_v1 kProblem = {
    .abi = SPILLWAY_PROBLEM_ABI,
    .bytes = sizeof(spillway_problem_v1),
    .max_state_bytes = kMost,
    .name = "pancake-plugin",
    .create = create,
    .destroy = free,
    .initial = initial,
    .expand = expand,
};

const spillway_problem_v1* spillway_problem(void) { return &kProblem; }
