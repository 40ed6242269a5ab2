// Where a knight can go on an N x N board, as a plugin in C++:
//     spillway expand plugin ./knights_plugin.so N [fold]
// A state is two bytes, row and column; the search starts in the corner (0, 0). With `fold` a square
// and its mirror image in the board's diagonal are one state. The optimum is the square farthest from
// the start, rows and columns added.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "expand/plugin_abi.h"

namespace {

struct Board {
  int size;
  bool folded;
};

void* create(int argc, const char* const* argv, char* error, size_t error_size) {
  const long size = argc >= 1 ? std::strtol(argv[0], nullptr, 10) : 0;
  const bool folded = argc == 2 && std::strcmp(argv[1], "fold") == 0;
  if (size < 3 || size > 200 || argc > 2 || (argc == 2 && !folded)) {
    std::snprintf(error, error_size, "wants the board's side, from 3 to 200, and perhaps `fold`");
    return nullptr;
  }
  return new Board{static_cast<int>(size), folded};
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

uint32_t key(const void* self, const uint8_t* state, uint32_t, uint8_t* key) {
  const bool swapped = static_cast<const Board*>(self)->folded && state[0] > state[1];
  key[0] = state[swapped ? 1 : 0];
  key[1] = state[swapped ? 0 : 1];
  return 2;
}

void score(const void*, const uint8_t* state, uint32_t, uint64_t score[2]) {
  score[0] = uint64_t{state[0]} + state[1];
  score[1] = 0;
}

uint32_t describe(const void*, const uint8_t* state, uint32_t, char* text, uint32_t room) {
  const int size = std::snprintf(text, room, "row %d, column %d", state[0], state[1]);
  return static_cast<uint32_t>(size);
}

constexpr spillway_problem_v1 kProblem{.abi = SPILLWAY_PROBLEM_ABI,
                                       .bytes = sizeof(spillway_problem_v1),
                                       .max_state_bytes = 2,
                                       .name = "knight",
                                       .create = create,
                                       .destroy = destroy,
                                       .initial = initial,
                                       .expand = expand,
                                       .key = key,
                                       .score = score,
                                       .describe = describe};

}  // namespace

extern "C" const spillway_problem_v1* spillway_problem(void) { return &kProblem; }
