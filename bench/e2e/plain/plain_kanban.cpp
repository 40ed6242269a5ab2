// The plain reference for `spillway expand petri kanban.pnml`: the markings of the Kanban net of
// four cells, 16 places of 4 bits in one word, one hash table and a queue, one thread, first in,
// first out.
//
// usage: plain_kanban N      1 <= N <= 15 cards a cell
#include <algorithm>
#include <array>
#include <vector>

#include "plain_table.hpp"

namespace {

constexpr size_t kBatch = 64;  // markings whose successors are prefetched together
constexpr size_t kTransitions = 16;

enum Part { kMachine, kBack, kKanban, kOut };
uint64_t token(int cell, Part part) { return uint64_t{1} << (16 * cell + 4 * part); }

// Moves one token along each arc; at most three arcs lead in.
struct Transition {
  std::array<uint64_t, 3> places{};  // masks of the input places; unused ones: all bits
  uint64_t takes = 0, gives = 0;
  bool is_enabled(uint64_t marking) const {
    return (marking & places[0]) != 0 && (marking & places[1]) != 0 && (marking & places[2]) != 0;
  }
  uint64_t fire(uint64_t marking) const { return marking - takes + gives; }
};

Transition transition(std::initializer_list<uint64_t> from, std::initializer_list<uint64_t> to) {
  Transition made;
  made.places.fill(~uint64_t{0});
  size_t used = 0;
  for (const uint64_t place : from) made.places[used++] = place * 15, made.takes += place;
  for (const uint64_t place : to) made.gives += place;
  return made;
}

std::vector<Transition> kanban_net() {
  std::vector<Transition> net;
  for (int cell = 0; cell < 4; ++cell) {
    net.push_back(transition({token(cell, kMachine)}, {token(cell, kBack)}));
    net.push_back(transition({token(cell, kBack)}, {token(cell, kMachine)}));
    net.push_back(transition({token(cell, kMachine)}, {token(cell, kOut)}));
  }
  net.push_back(transition({token(0, kKanban)}, {token(0, kMachine)}));
  net.push_back(transition({token(0, kOut), token(1, kKanban), token(2, kKanban)},
                           {token(0, kKanban), token(1, kMachine), token(2, kMachine)}));
  net.push_back(transition({token(1, kOut), token(2, kOut), token(3, kKanban)},
                           {token(1, kKanban), token(2, kKanban), token(3, kMachine)}));
  net.push_back(transition({token(3, kOut)}, {token(3, kKanban)}));
  return net;
}

}  // namespace

int main(int argc, char** argv) {
  const int n = argc > 1 ? std::atoi(argv[1]) : 0;
  if (n < 1 || n > 15) {
    std::fprintf(stderr, "usage: plain_kanban N      1 <= N <= 15\n");
    return 2;
  }
  const plain::Stopwatch watch;
  const std::vector<Transition> net = kanban_net();
  uint64_t start = 0;
  for (int cell = 0; cell < 4; ++cell) start += token(cell, kKanban) * static_cast<uint64_t>(n);

  plain::Table table(1 << 20);
  std::vector<uint64_t> queue{start};  // all markings in the order they were found
  table.insert(start);
  uint64_t generated = 0, layers = 0;
  std::array<uint64_t, kBatch * kTransitions> successors;
  for (size_t layer_end = 0, next = 0; next < queue.size();) {
    if (next == layer_end) layer_end = queue.size(), ++layers;
    size_t count = 0;
    for (const size_t end = std::min(next + kBatch, layer_end); next < end; ++next) {
      for (const Transition& each : net) {
        if (!each.is_enabled(queue[next])) continue;
        const uint64_t successor = each.fire(queue[next]);
        table.prefetch(successor);
        successors[count++] = successor;
      }
    }
    generated += count;
    for (size_t i = 0; i < count; ++i)
      if (table.insert(successors[i])) queue.push_back(successors[i]);
  }
  plain::print_outcome(queue.size(), generated, layers, watch.seconds());
  return 0;
}
