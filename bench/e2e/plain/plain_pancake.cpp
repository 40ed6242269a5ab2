// The plain reference for `spillway expand pancake`: what one would write by hand when memory is no
// matter.
//
// States are permutations packed in 4 bits an item. One thread: one hash table and a queue, first
// in, first out. More threads: layer by layer, a shared table with compare-and-swap, so the order
// inside a layer is not kept.
//
// usage: plain_pancake N [THREADS]      2 <= N <= 13
#include <algorithm>
#include <thread>
#include <vector>

#include "plain_table.hpp"

namespace {

constexpr size_t kBatch = 64;  // states whose children are prefetched together
constexpr size_t kMaxItems = 13;
constexpr size_t kChunk = 4096;  // states a thread takes from a layer at a time

uint64_t flipped(uint64_t state, unsigned items) {
  uint64_t turned = __builtin_bswap64(state);
  turned = (turned >> 4 & 0x0f0f0f0f0f0f0f0f) | (turned & 0x0f0f0f0f0f0f0f0f) << 4;
  const unsigned bits = 4 * items;
  return (state >> bits << bits) | turned >> (64 - bits);
}

struct Children {
  uint64_t states[kBatch * kMaxItems];
  size_t count = 0;
};

void expand(const uint64_t* parents, size_t count, unsigned n, const plain::Table& table,
            Children& out) {
  out.count = 0;
  for (size_t i = 0; i < count; ++i) {
    for (unsigned items = 2; items <= n; ++items) {
      const uint64_t child = flipped(parents[i], items);
      table.prefetch(child);
      out.states[out.count++] = child;
    }
  }
}

struct Outcome {
  uint64_t distinct = 0, generated = 0, layers = 0;
};

Outcome search_in_order(uint64_t start, unsigned n, uint64_t expected) {
  plain::Table table(expected);
  std::vector<uint64_t> queue;  // all states in the order they were found
  queue.reserve(expected);
  queue.push_back(start);
  table.insert(start);
  Outcome outcome;
  Children children;
  for (size_t layer_end = 0, next = 0; next < queue.size();) {
    if (next == layer_end) layer_end = queue.size(), ++outcome.layers;
    const size_t count = std::min(kBatch, layer_end - next);
    expand(queue.data() + next, count, n, table, children);
    next += count;
    outcome.generated += children.count;
    for (size_t i = 0; i < children.count; ++i)
      if (table.insert(children.states[i])) queue.push_back(children.states[i]);
  }
  outcome.distinct = queue.size();
  return outcome;
}

struct Worker {
  std::vector<uint64_t> found;
  uint64_t generated = 0;
};

void work(Worker& worker, const std::vector<uint64_t>& layer, std::atomic<size_t>& next, unsigned n,
          plain::Table& table) {
  Children children;
  for (size_t begin; (begin = next.fetch_add(kChunk)) < layer.size();) {
    const size_t end = std::min(begin + kChunk, layer.size());
    for (size_t at = begin; at < end; at += kBatch) {
      expand(layer.data() + at, std::min(kBatch, end - at), n, table, children);
      worker.generated += children.count;
      for (size_t i = 0; i < children.count; ++i)
        if (table.insert_shared(children.states[i])) worker.found.push_back(children.states[i]);
    }
  }
}

Outcome search_by_layers(uint64_t start, unsigned n, uint64_t expected, unsigned threads) {
  plain::Table table(expected);
  std::vector<uint64_t> layer{start};
  table.insert_shared(start);
  std::vector<Worker> workers(threads);
  Outcome outcome;
  while (!layer.empty()) {
    ++outcome.layers;
    outcome.distinct += layer.size();
    std::atomic<size_t> next{0};
    {
      std::vector<std::jthread> running;
      for (Worker& worker : workers)
        running.emplace_back([&] { work(worker, layer, next, n, table); });
    }
    layer.clear();
    for (Worker& worker : workers) {
      layer.insert(layer.end(), worker.found.begin(), worker.found.end());
      worker.found.clear();
    }
  }
  for (const Worker& worker : workers) outcome.generated += worker.generated;
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  const int n = argc > 1 ? std::atoi(argv[1]) : 0;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  if (n < 2 || n > static_cast<int>(kMaxItems) || threads < 1 || threads > 64) {
    std::fprintf(stderr, "usage: plain_pancake N [THREADS]      2 <= N <= 13\n");
    return 2;
  }
  const plain::Stopwatch watch;
  uint64_t start = 0, expected = 1;
  for (uint64_t item = 0; item < static_cast<uint64_t>(n); ++item) {
    start |= item << (4 * item);
    expected *= item + 1;
  }
  const auto items = static_cast<unsigned>(n);
  const Outcome outcome =
      threads == 1 ? search_in_order(start, items, expected)
                   : search_by_layers(start, items, expected, static_cast<unsigned>(threads));
  plain::print_outcome(outcome.distinct, outcome.generated, outcome.layers, watch.seconds());
  return 0;
}
