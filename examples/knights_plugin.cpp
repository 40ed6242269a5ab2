// Where a knight can go on an N x N board, as a plugin in C++: spillway expand plugin
// ./knights_plugin.so N A state is two bytes, row and column; the search starts in a corner.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "expand/plugin_abi.h"

namespace {

struct Board {
  int size;
};

void* create(int argc, const char* const* argv, char* error, size_t error_size) {
  const long size = argc == 1 ? std::strtol(argv[0], nullptr, 10) : 0;
  if (size < 3 || size > 200) {
    std::snprintf(error, error_size, "wants one number, the board's side, from 3 to 200");
    return nullptr;
  }
  return new Board{static_cast<int>(size)};
}

void destroy(void* self) { delete static_cast<Board*>(self); }

int initial(const void*, const spillway_sink* sink) {
  const std::array<uint8_t, 2> corner{0, 0};
  return sink->push(sink->context, corner.data(), 2);
}

int expand(const void* self, const uint8_t* state, uint32_t, const spillway_sink* sink) {
  constexpr std::array<std::pair<int, int>, 8> kJumps{
      {{-2, -1}, {-2, 1}, {-1, -2}, {-1, 2}, {1, -2}, {1, 2}, {2, -1}, {2, 1}}};
  const int size = static_cast<const Board*>(self)->size;
  for (const auto& [down, right] : kJumps) {
    const int row = state[0] + down;
    const int column = state[1] + right;
    if (row < 0 || column < 0 || row >= size || column >= size) continue;
    const std::array<uint8_t, 2> next{static_cast<uint8_t>(row), static_cast<uint8_t>(column)};
    const int pushed = sink->push(sink->context, next.data(), 2);
    if (pushed != SPILLWAY_OK) return pushed;
  }
  return SPILLWAY_OK;
}

constexpr spillway_problem_v1 kProblem{
    SPILLWAY_PROBLEM_ABI, 2, "knight", create, destroy, initial, expand};

}  // namespace

extern "C" const spillway_problem_v1* spillway_problem(void) { return &kProblem; }
