// The rules of orthos, written plainly: boxes of words whose every line, from the origin outwards,
// is a phrase.
//
// An ortho is a box {dims, payload, up_axis}. Its cells are numbered in "shells": by coordinate
// sum, then lexicographically. A word goes into the first empty cell (the cursor) when, along every
// axis, it continues the line of words before it, and when it is in no other cell of the same
// shell. A box that completes grows at once, "over" (one axis longer) or "up" (one axis more), so a
// stored box always has an empty cell.
//
// These functions favour clarity and allocate freely; they are pure and safe from any thread. The
// search itself (ortho.cpp) runs on tables made from them; ortho_oracle.hpp has how boxes grow, as plainly,
// for the tests to compare it with.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "expand/ortho/ortho_text.hpp"

namespace spillway::expand::ortho {

using Dims = std::vector<uint32_t>;
using Cell = std::vector<uint32_t>;  // one coordinate an axis

inline constexpr uint32_t kEmptyCell = UINT32_MAX;

struct Ortho {
  Dims dims;
  std::vector<uint32_t> payload;  // one word id or kEmptyCell a cell, in cell order
  // Current rules: the axis of the last up; none at the start and after an over.
  std::optional<uint32_t> up_axis;

  friend auto operator<=>(const Ortho&, const Ortho&) = default;
};

// The cells of a box in order, and back.
class Shape {
 public:
  explicit Shape(Dims dims);
  const Dims& dims() const { return dims_; }
  uint32_t size() const { return static_cast<uint32_t>(cells_.size()); }
  const Cell& cell(uint32_t index) const { return cells_[index]; }
  uint32_t index(const Cell& cell) const { return index_.at(cell); }

  // One list an axis a with cell[a] > 0, in axis order: the cells before it on its line.
  std::vector<std::vector<uint32_t>> required(uint32_t index) const;
  // The cells whose words may not stand at `index`, ascending. Empty ones among them do not count.
  std::vector<uint32_t> forbidden(uint32_t index, OrthoRules rules,
                                  std::optional<uint32_t> up_axis) const;

 private:
  bool is_prefilled(const Cell& cell, std::optional<uint32_t> up_axis) const;

  Dims dims_;
  std::vector<Cell> cells_;
  std::map<Cell, uint32_t> index_;
};

bool is_all_twos(const Dims& dims);
std::optional<Dims> parent(const Dims& dims);  // current rules; none for [2,2]
std::vector<Dims> over_shapes(const Dims& dims, OrthoRules rules);
Dims up_shape(const Dims& dims, uint32_t axis);

// For each cell of `from`, its cell in the grown box.
std::vector<uint32_t> map_over(const Shape& from, const Shape& to);
std::vector<uint32_t> map_up(const Shape& from, const Shape& to, uint32_t axis);

// The box as text, by the words of the vocabulary: rows of the last two axes, right-aligned, `·`
// for an empty cell; more axes give one such slice after the other, each under its coordinates.
std::string draw(const Ortho& ortho, std::span<const std::string> words);

}  // namespace spillway::expand::ortho
