#include "expand/problems/puzzle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "expand/problem/argument.hpp"
#include "expand/problem/packed_expander.hpp"

namespace spillway::expand {
namespace {

constexpr uint32_t kMostPackedCells = 16;
constexpr uint32_t kMostMoves = 4;

struct Board {
  uint32_t rows;
  uint32_t columns;
  uint32_t blank;  // the cell it starts in
  uint32_t cells() const { return rows * columns; }
};

// Where the blank can go from each cell, in the order up, down, left, right.
struct Moves {
  struct Targets {
    std::array<uint8_t, kMostMoves> cell;
    uint8_t count = 0;
    std::span<const uint8_t> all() const { return std::span(cell).first(count); }
  };

  explicit Moves(const Board& board) {
    for (uint32_t cell = 0; cell < board.cells(); ++cell) {
      const uint32_t row = cell / board.columns, column = cell % board.columns;
      if (row > 0) add(cell, cell - board.columns);
      if (row + 1 < board.rows) add(cell, cell + board.columns);
      if (column > 0) add(cell, cell - 1);
      if (column + 1 < board.columns) add(cell, cell + 1);
    }
  }
  void add(uint32_t from, uint32_t to) {
    from_[from].cell[from_[from].count++] = static_cast<uint8_t>(to);
  }
  const Targets& of(uint32_t cell) const { return from_[cell]; }

  std::array<Targets, kMostPuzzleCells> from_{};
};

struct PackedPuzzleRules {
  explicit PackedPuzzleRules(const Board& board)
      : moves(board), beyond(board.cells() == 16 ? 0 : ~uint64_t{0} << (4 * board.cells())) {}

  static uint32_t zero_nibble(uint64_t word) {
    constexpr uint64_t kOnes = 0x1111111111111111;
    return static_cast<uint32_t>(std::countr_zero((word - kOnes) & ~word & kOnes << 3)) / 4;
  }

  template <class Emit>
  void successors(uint64_t state, Emit&& emit) const {
    const uint32_t blank = zero_nibble(state | beyond);
    for (const uint8_t cell : moves.of(blank).all()) {
      const uint64_t tile = state >> (4 * cell) & 15;
      emit(state ^ tile << (4 * cell) ^ tile << (4 * blank));
    }
  }

  Moves moves;
  uint64_t beyond;  // the nibbles that are no cells
  uint32_t max_successors = kMostMoves;
};

class BytePuzzleExpander final : public Expander {
 public:
  explicit BytePuzzleExpander(const Board& board) : moves_(board), cells_(board.cells()) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    for (size_t i = first; i < parents.size(); ++i, ++done) {
      if (!expand_one(parents[i].bytes, out)) {
        out.drop_parent();
        break;
      }
      out.end_parent();
    }
    return done;
  }

 private:
  bool expand_one(std::span<const uint8_t> state, Successors& out) const {
    std::array<uint8_t, kMostPuzzleCells> next;
    std::copy(state.begin(), state.end(), next.begin());
    const auto blank =
        static_cast<uint32_t>(std::find(state.begin(), state.end(), 0) - state.begin());
    for (const uint8_t cell : moves_.of(blank).all()) {
      std::swap(next[blank], next[cell]);
      if (!out.push(std::span<const uint8_t>(next).first(cells_))) return false;
      std::swap(next[blank], next[cell]);
    }
    return true;
  }

  Moves moves_;
  uint32_t cells_;
};

class Puzzle final : public Problem {
 public:
  explicit Puzzle(const Board& board) : board_(board) {}

  std::string name() const override { return "puzzle"; }
  std::string arguments_json() const override {
    return fmt::format("{{\"rows\":{},\"columns\":{},\"blank\":[{},{}]}}", board_.rows,
                       board_.columns, board_.blank / board_.columns,
                       board_.blank % board_.columns);
  }
  ProblemTraits traits() const override {
    if (is_packed()) return {.key_bits = 4 * board_.cells()};
    return {.form = StateForm::kBytes, .max_state_bytes = board_.cells()};
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override;
  Result<std::unique_ptr<Expander>> expander() const override {
    if (!is_packed()) return std::make_unique<BytePuzzleExpander>(board_);
    return std::make_unique<PackedExpander<PackedPuzzleRules>>(PackedPuzzleRules(board_));
  }

  // One byte a cell, row by row.
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override {
    for (uint32_t i = 0; i < board_.cells(); ++i) out[i] = tile(state, i);
    return board_.cells();
  }
  size_t canonical_size() const override { return kMostPuzzleCells; }

  std::vector<Column> columns() const override {
    return {{"arrangement", ColumnType::kUint32List}};
  }
  void describe(const StateView& state, Row& row) const override {
    std::array<uint32_t, kMostPuzzleCells> tiles;
    for (uint32_t i = 0; i < board_.cells(); ++i) tiles[i] = tile(state, i);
    row.list(std::span(tiles).first(board_.cells()));
  }

 private:
  bool is_packed() const { return board_.cells() <= kMostPackedCells; }
  uint8_t tile(const StateView& state, uint32_t cell) const {
    return is_packed() ? static_cast<uint8_t>(state.packed >> (4 * cell) & 15) : state.bytes[cell];
  }

  Board board_;
};

Result<std::vector<std::vector<uint8_t>>> Puzzle::initial() const {
  std::vector<uint8_t> tiles(board_.cells());
  uint8_t next = 1;
  for (uint32_t i = 0; i < board_.cells(); ++i) tiles[i] = i == board_.blank ? uint8_t{0} : next++;
  if (!is_packed()) return std::vector<std::vector<uint8_t>>{tiles};
  uint64_t packed = 0;
  for (uint32_t i = 0; i < board_.cells(); ++i) packed |= uint64_t{tiles[i]} << (4 * i);
  return one_packed(packed);
}

struct NumberPair {
  std::string_view first, second;
};
std::optional<NumberPair> split_pair(std::string_view word, char separator) {
  const size_t at = word.find(separator);
  if (at == word.npos) return std::nullopt;
  return NumberPair{word.substr(0, at), word.substr(at + 1)};
}

Result<Board> parse_size(const std::string& word) {
  const auto parts = split_pair(word, 'x');
  if (!parts) {
    return fail(Code::kUsage,
                fmt::format("puzzle: \"{}\" is not a size; give rows x columns, as 3x3", word));
  }
  const uint64_t rows = TRY(parse_argument(parts->first, {"puzzle rows", 1, kMostPuzzleCells}));
  const uint64_t columns =
      TRY(parse_argument(parts->second, {"puzzle columns", 1, kMostPuzzleCells}));
  if (rows * columns < 2 || rows * columns > kMostPuzzleCells) {
    return fail(Code::kUsage, fmt::format("puzzle {}: {} cells; it takes 2 to {}, as 5x5", word,
                                          rows * columns, kMostPuzzleCells));
  }
  return Board{static_cast<uint32_t>(rows), static_cast<uint32_t>(columns), 0};
}

Result<uint32_t> parse_blank(const std::string& word, const Board& board) {
  const auto parts = split_pair(word, ',');
  if (!parts) {
    return fail(Code::kUsage,
                fmt::format("puzzle --blank: \"{}\" is not row,column, as 0,2", word));
  }
  const uint64_t row = TRY(parse_argument(parts->first, {"puzzle --blank row", 0, board.rows - 1}));
  const uint64_t column =
      TRY(parse_argument(parts->second, {"puzzle --blank column", 0, board.columns - 1}));
  return static_cast<uint32_t>(row * board.columns + column);
}

}  // namespace

Result<std::unique_ptr<Problem>> make_puzzle(const ProblemArguments& arguments) {
  std::optional<std::string> size, blank;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--blank" && i + 1 < arguments.size()) {
      blank = arguments[++i];
    } else if (word.starts_with("--blank=")) {
      blank = word.substr(8);
    } else if (!size && !word.starts_with("-")) {
      size = word;
    } else {
      return fail(Code::kUsage,
                  fmt::format("puzzle: what is \"{}\"? It takes RxC [--blank r,c]", word));
    }
  }
  if (!size) return fail(Code::kUsage, "puzzle needs a size: puzzle RxC [--blank r,c]");
  Board board = TRY(parse_size(*size));
  if (blank) board.blank = TRY(parse_blank(*blank, board));
  return std::make_unique<Puzzle>(board);
}

}  // namespace spillway::expand
