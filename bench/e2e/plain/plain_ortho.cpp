// The plain reference for `spillway expand ortho`: what one would write by hand when memory is no
// matter.
//
// One thread, one hash table of 64-bit ids, one queue of fixed-size states, tables for each shape.
// Current rules only, and only texts of two-word sentences of single letters ("a b. a c. b c."),
// with boxes of up to 32 cells. Prints what the search found, seconds and peak memory. Deliberately
// shares no code with src/.
//
// usage: plain_ortho FILE
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr uint8_t kEmpty = 0xff;
constexpr size_t kMaxCells = 32;
using Cell = std::vector<int>;

[[noreturn]] void die(const char* message) {
  std::fprintf(stderr, "plain_ortho: %s\n", message);
  std::exit(1);
}

// SipHash-1-3, key (0, 0), of whole 64-bit words.
struct Sip {
  uint64_t a = 0x736f6d6570736575, b = 0x646f72616e646f6d, c = 0x6c7967656e657261,
           d = 0x7465646279746573, bytes = 0;
  void round() {
    a += b, c += d, b = std::rotl(b, 13) ^ a, d = std::rotl(d, 16) ^ c, a = std::rotl(a, 32);
    a += d, c += b, b = std::rotl(b, 17) ^ c, d = std::rotl(d, 21) ^ a, c = std::rotl(c, 32);
  }
  void add(uint64_t word) { d ^= word, round(), a ^= word, bytes += 8; }
  uint64_t finish() {
    const uint64_t tail = bytes << 56;
    d ^= tail, round(), a ^= tail, c ^= 0xff, round(), round(), round();
    return (a ^ b ^ c ^ d) & 0x7fffffffffffffff;
  }
};

struct State {
  std::array<uint8_t, kMaxCells> cells;  // word or kEmpty, in cell order
  uint8_t shape;
};

struct Growth {
  uint8_t shape;
  std::vector<uint8_t> map;  // cell -> cell of the grown box
};
struct Site {                        // one cell of a shape
  bool is_reachable = true;          // false: needs a phrase of three words
  std::vector<uint8_t> before;       // the words it must follow
  std::vector<uint8_t> not_same_as;  // cells of its shell
};
struct Shape {
  std::vector<int> dims;
  int up_axis;  // -1: none
  uint64_t volume = 1;
  Sip prefix;  // after the part of the id that is the same for all its states
  std::vector<Cell> cells;
  std::vector<Site> sites;
  bool is_grown = false;  // `growths` is made
  std::vector<Growth> overs, ups;
  size_t size() const { return cells.size(); }
};

std::vector<std::unique_ptr<Shape>> shapes;
std::map<std::pair<std::vector<int>, int>, uint8_t> shape_numbers;

int sum(const Cell& cell) {
  int total = 0;
  for (const int x : cell) total += x;
  return total;
}
bool all_twos(const std::vector<int>& dims) {
  return std::count(dims.begin(), dims.end(), 2) == static_cast<ptrdiff_t>(dims.size());
}
std::vector<int> parent_of(std::vector<int> dims) {
  if (all_twos(dims)) return std::vector<int>(dims.size() - 1, 2);
  --*std::max_element(dims.begin(), dims.end());
  std::sort(dims.begin(), dims.end());
  return dims;
}
uint8_t index_of(const Shape& shape, const Cell& cell) {
  return static_cast<uint8_t>(std::find(shape.cells.begin(), shape.cells.end(), cell) -
                              shape.cells.begin());
}
Cell with_zero(Cell cell, size_t at) {
  cell.insert(cell.begin() + static_cast<ptrdiff_t>(at), 0);
  return cell;
}

void make_cells(Shape& shape, Cell cell) {
  if (cell.size() == shape.dims.size()) {
    shape.cells.push_back(std::move(cell));
    return;
  }
  cell.push_back(0);
  for (; cell.back() < shape.dims[cell.size() - 1]; ++cell.back()) make_cells(shape, cell);
}

bool is_prefilled(const Shape& shape, const Cell& cell) {
  if (shape.dims.size() == 2 && all_twos(shape.dims)) return false;
  const std::vector<int> from = parent_of(shape.dims);
  if (shape.up_axis >= 0) return cell[from.size() - static_cast<size_t>(shape.up_axis)] == 0;
  for (size_t axis = 0; axis < cell.size(); ++axis) {
    if (cell[axis] >= from[axis]) return false;
  }
  return true;
}

Site make_site(const Shape& shape, size_t at) {
  Site site;
  const Cell& cell = shape.cells[at];
  for (size_t axis = 0; axis < cell.size(); ++axis) {
    if (cell[axis] > 1) site.is_reachable = false;
    Cell before = cell;
    if (cell[axis] == 1) --before[axis], site.before.push_back(index_of(shape, before));
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (sum(shape.cells[i]) != sum(cell) || i == at) continue;
    if (i < at || is_prefilled(shape, shape.cells[i])) {
      site.not_same_as.push_back(static_cast<uint8_t>(i));
    }
  }
  return site;
}

uint8_t shape_number(std::vector<int> dims, int up_axis) {
  const auto [it, is_new] =
      shape_numbers.try_emplace({dims, up_axis}, static_cast<uint8_t>(shapes.size()));
  if (!is_new) return it->second;
  if (shapes.size() == 255) die("more than 255 shapes");
  auto shape = std::make_unique<Shape>();
  shape->dims = std::move(dims);
  shape->up_axis = up_axis;
  make_cells(*shape, {});
  std::stable_sort(shape->cells.begin(), shape->cells.end(),
                   [](const Cell& a, const Cell& b) { return sum(a) < sum(b); });
  if (shape->size() > kMaxCells) die("a box of more than 32 cells");
  for (size_t i = 0; i < shape->size(); ++i) shape->sites.push_back(make_site(*shape, i));
  shape->prefix.add(shape->dims.size());
  for (const int length : shape->dims) {
    shape->prefix.add(static_cast<uint64_t>(length));
    shape->volume *= static_cast<uint64_t>(length - 1);
  }
  shape->prefix.add(shape->size());
  shapes.push_back(std::move(shape));
  return it->second;
}

void make_growths(Shape& shape) {
  shape.is_grown = true;
  const auto grow = [&](std::vector<Growth>& list, const std::vector<int>& dims, int up_axis) {
    Growth growth{shape_number(dims, up_axis), {}};
    for (const Cell& cell : shape.cells) {
      const Cell to =
          up_axis < 0 ? cell : with_zero(cell, shape.dims.size() - static_cast<size_t>(up_axis));
      growth.map.push_back(index_of(*shapes[growth.shape], to));
    }
    list.push_back(std::move(growth));
  };
  std::vector<std::vector<int>> seen;
  for (size_t axis = 0; axis < shape.dims.size(); ++axis) {
    std::vector<int> dims = shape.dims;
    ++dims[axis];
    std::sort(dims.begin(), dims.end());
    if (parent_of(dims) != shape.dims || std::find(seen.begin(), seen.end(), dims) != seen.end()) {
      continue;
    }
    seen.push_back(dims);
    grow(shape.overs, dims, -1);
  }
  if (!all_twos(shape.dims)) return;
  for (size_t axis = 0; axis <= shape.dims.size(); ++axis) {
    grow(shape.ups, std::vector<int>(shape.dims.size() + 1, 2), static_cast<int>(axis));
  }
}

uint64_t id_of(const State& state) {
  const Shape& shape = *shapes[state.shape];
  Sip sip = shape.prefix;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool is_filled = state.cells[i] != kEmpty;
    sip.add(is_filled);
    if (is_filled) sip.add(state.cells[i]);
  }
  sip.add(shape.up_axis >= 0);
  if (shape.up_axis >= 0) sip.add(static_cast<uint64_t>(shape.up_axis));
  return sip.finish();
}

// Ids by linear probing; doubles at half full.
class IdSet {
 public:
  bool insert(uint64_t id) {
    if (count_ * 2 >= slots_.size()) grow();
    const bool is_new = put(slots_, id + 1);
    count_ += is_new;
    return is_new;
  }

 private:
  static bool put(std::vector<uint64_t>& slots, uint64_t key) {
    for (size_t i = key & (slots.size() - 1);; i = (i + 1) & (slots.size() - 1)) {
      if (slots[i] == key) return false;
      if (slots[i] == 0) return slots[i] = key, true;
    }
  }
  void grow() {
    std::vector<uint64_t> larger(slots_.size() * 2, 0);
    for (const uint64_t key : slots_) {
      if (key != 0) put(larger, key);
    }
    slots_.swap(larger);
  }
  std::vector<uint64_t> slots_ = std::vector<uint64_t>(1 << 16, 0);
  size_t count_ = 0;
};

class Search {
 public:
  explicit Search(const std::string& text) {
    std::string letters, pair;
    for (const char c : text) {
      if (c >= 'a' && c <= 'z') letters += c;
    }
    std::sort(letters.begin(), letters.end());
    letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
    words_ = static_cast<unsigned>(letters.size());
    for (const char c : text) {
      if (c >= 'a' && c <= 'z') pair += static_cast<char>(letters.find(c));
      if (c != '.') continue;
      if (pair.size() != 2) die("only sentences of two letters");
      after_[static_cast<size_t>(pair[0])] |= 1u << pair[1];
      pair.clear();
    }
  }

  void run() {
    State start;
    start.cells.fill(kEmpty);
    start.shape = shape_number({2, 2}, -1);
    discover(start);
    while (!queue_.empty()) {
      const State state = queue_.front();
      queue_.pop_front();
      expand(state);
    }
  }
  void print(double seconds) const {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("distinct %llu generated %llu xor %016llx sum %016llx best %llu,%llu id %llu\n",
                ull(distinct_), ull(generated_), ull(xor_), ull(sum_), ull(best_.first),
                ull(best_.second), ull(best_id_));
    std::printf("seconds %.2f peak_rss_mib %ld\n", seconds, usage.ru_maxrss / 1024);
  }

 private:
  static unsigned long long ull(uint64_t value) { return value; }

  void discover(const State& state) {
    const uint64_t id = id_of(state);
    if (!seen_.insert(id)) return;
    ++distinct_;
    xor_ ^= id;
    sum_ += id;
    const Shape& shape = *shapes[state.shape];
    const auto empty = std::count(
        state.cells.begin(), state.cells.begin() + static_cast<ptrdiff_t>(shape.size()), kEmpty);
    const std::pair<uint64_t, uint64_t> score{shape.volume,
                                              shape.size() - static_cast<uint64_t>(empty)};
    if (distinct_ == 1 || score > best_) best_ = score, best_id_ = id;
    queue_.push_back(state);
  }

  void expand(const State& state) {
    const Shape& shape = *shapes[state.shape];
    size_t at = 0;
    while (state.cells[at] != kEmpty) ++at;
    const Site& site = shape.sites[at];
    if (!site.is_reachable) return;
    uint32_t allowed = (1u << words_) - 1;
    for (const uint8_t cell : site.before) allowed &= after_[state.cells[cell]];
    for (const uint8_t cell : site.not_same_as) {
      if (state.cells[cell] != kEmpty) allowed &= ~(1u << state.cells[cell]);
    }
    // No growth fills a box's last cell, so a box completes there.
    for (; allowed != 0; allowed &= allowed - 1) {
      add(state, at, static_cast<uint8_t>(std::countr_zero(allowed)), at + 1 == shape.size());
    }
  }

  void add(State child, size_t at, uint8_t word, bool completes) {
    child.cells[at] = word;
    if (completes) {
      complete(child, word);
      return;
    }
    if (child.shape == 0 && at == 2 && child.cells[1] > word)
      std::swap(child.cells[1], child.cells[2]);
    ++generated_;
    discover(child);
  }

  void complete(const State& full, uint8_t word) {
    Shape& shape = *shapes[full.shape];
    if (!shape.is_grown) make_growths(shape);
    for (const Growth& over : shape.overs) grow(full, over);
    if (shape.ups.empty()) return;
    size_t axis = 0;
    while (axis < shape.dims.size() && word >= full.cells[axis + 1]) ++axis;
    grow(full, shape.ups[axis]);
  }

  void grow(const State& full, const Growth& growth) {
    State child;
    child.cells.fill(kEmpty);
    child.shape = growth.shape;
    for (size_t i = 0; i < growth.map.size(); ++i) child.cells[growth.map[i]] = full.cells[i];
    ++generated_;
    discover(child);
  }

  unsigned words_ = 0;
  std::array<uint32_t, 26> after_{};  // word -> the words that may follow it
  IdSet seen_;
  std::deque<State> queue_;
  uint64_t distinct_ = 0, generated_ = 0, xor_ = 0, sum_ = 0, best_id_ = 0;
  std::pair<uint64_t, uint64_t> best_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: plain_ortho FILE");
  std::ifstream file(argv[1]);
  if (!file) die("cannot open the text");
  Search search({std::istreambuf_iterator<char>(file), {}});
  const auto begin = std::chrono::steady_clock::now();
  search.run();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  search.print(seconds.count());
}
