#include "expand/ortho/ortho_rules.hpp"

#include <algorithm>
#include <numeric>

namespace spillway::expand::ortho {
namespace {

uint32_t shell(const Cell& cell) { return std::accumulate(cell.begin(), cell.end(), 0u); }

Cell insert_zero(Cell cell, size_t position) {
  cell.insert(cell.begin() + static_cast<ptrdiff_t>(position), 0);
  return cell;
}

std::vector<Cell> all_cells(const Dims& dims) {
  std::vector<Cell> cells{Cell{}};
  for (const uint32_t length : dims) {
    std::vector<Cell> longer;
    for (const Cell& cell : cells) {
      for (uint32_t x = 0; x < length; ++x) {
        longer.push_back(cell);
        longer.back().push_back(x);
      }
    }
    cells = std::move(longer);
  }
  return cells;
}

}  // namespace

Shape::Shape(Dims dims) : dims_(std::move(dims)), cells_(all_cells(dims_)) {
  std::stable_sort(cells_.begin(), cells_.end(),
                   [](const Cell& a, const Cell& b) { return shell(a) < shell(b); });
  for (uint32_t i = 0; i < cells_.size(); ++i) index_.emplace(cells_[i], i);
}

std::vector<std::vector<uint32_t>> Shape::required(uint32_t index) const {
  std::vector<std::vector<uint32_t>> lines;
  const Cell& cell = cells_[index];
  for (size_t axis = 0; axis < cell.size(); ++axis) {
    if (cell[axis] == 0) continue;
    std::vector<uint32_t>& line = lines.emplace_back();
    Cell before = cell;
    for (uint32_t x = 0; x < cell[axis]; ++x) {
      before[axis] = x;
      line.push_back(this->index(before));
    }
  }
  return lines;
}

bool Shape::is_prefilled(const Cell& cell, std::optional<uint32_t> up_axis) const {
  const std::optional<Dims> from = parent(dims_);
  if (!from) return false;
  if (up_axis) return cell[from->size() - *up_axis] == 0;
  if (from->size() != dims_.size()) return false;
  for (size_t axis = 0; axis < cell.size(); ++axis) {
    if (cell[axis] >= (*from)[axis]) return false;
  }
  return true;
}

std::vector<uint32_t> Shape::forbidden(uint32_t index, OrthoRules rules,
                                       std::optional<uint32_t> up_axis) const {
  std::vector<uint32_t> cells;
  uint32_t first = index;
  while (first > 0 && shell(cells_[first - 1]) == shell(cells_[index])) --first;
  for (uint32_t i = first; i < index; ++i) cells.push_back(i);
  if (rules == OrthoRules::kClassic) return cells;
  for (uint32_t i = index + 1; i < size() && shell(cells_[i]) == shell(cells_[index]); ++i) {
    if (is_prefilled(cells_[i], up_axis)) cells.push_back(i);
  }
  return cells;
}

bool is_all_twos(const Dims& dims) {
  return std::all_of(dims.begin(), dims.end(), [](uint32_t length) { return length == 2; });
}

std::optional<Dims> parent(const Dims& dims) {
  if (is_all_twos(dims)) {
    if (dims.size() <= 2) return std::nullopt;
    return Dims(dims.size() - 1, 2);
  }
  Dims smaller = dims;
  --*std::max_element(smaller.begin(), smaller.end());
  std::sort(smaller.begin(), smaller.end());
  return smaller;
}

namespace {

std::vector<Dims> over_shapes_current(const Dims& dims) {
  std::vector<Dims> shapes;
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    Dims longer = dims;
    ++longer[axis];
    std::sort(longer.begin(), longer.end());
    const bool is_known = std::find(shapes.begin(), shapes.end(), longer) != shapes.end();
    if (!is_known && parent(longer) == dims) shapes.push_back(std::move(longer));
  }
  return shapes;
}

std::vector<Dims> over_shapes_classic(const Dims& dims) {
  std::vector<Dims> shapes;
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    const auto here = dims.begin() + static_cast<ptrdiff_t>(axis);
    if (std::find(dims.begin(), here, dims[axis]) != here) continue;
    shapes.push_back(dims);
    ++shapes.back()[axis];
  }
  return shapes;
}

}  // namespace

std::vector<Dims> over_shapes(const Dims& dims, OrthoRules rules) {
  return rules == OrthoRules::kCurrent ? over_shapes_current(dims) : over_shapes_classic(dims);
}

Dims up_shape(const Dims& dims, uint32_t axis) {
  Dims more = dims;
  more.insert(more.begin() + axis, 2);
  return more;
}

std::vector<uint32_t> map_over(const Shape& from, const Shape& to) {
  std::vector<uint32_t> map;
  for (uint32_t i = 0; i < from.size(); ++i) map.push_back(to.index(from.cell(i)));
  return map;
}

std::vector<uint32_t> map_up(const Shape& from, const Shape& to, uint32_t axis) {
  std::vector<uint32_t> map;
  for (uint32_t i = 0; i < from.size(); ++i) {
    map.push_back(to.index(insert_zero(from.cell(i), from.dims().size() - axis)));
  }
  return map;
}

namespace {

// Right-aligned by characters, not bytes, so that columns line up for every script.
std::string padded(std::string_view text, size_t width) {
  const auto starts_character = [](char c) { return (c & 0xC0) != 0x80; };
  const auto characters =
      static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
  return std::string(width > characters ? width - characters : 0, ' ').append(text);
}

// "[1, 0, *, *]"
std::string slice_title(const Cell& cell) {
  std::string title = "[";
  for (size_t axis = 0; axis + 2 < cell.size(); ++axis) title += std::to_string(cell[axis]) + ", ";
  return title + "*, *]\n";
}

}  // namespace

std::string draw(const Ortho& ortho, std::span<const std::string> words) {
  const Shape shape(ortho.dims);
  size_t width = 4;
  for (const uint32_t word : ortho.payload) {
    if (word != kEmptyCell) width = std::max(width, words[word].size());
  }
  std::vector<Cell> cells = all_cells(ortho.dims);  // row by row
  const size_t axes = ortho.dims.size();
  std::string text;
  for (const Cell& cell : cells) {
    const uint32_t row = cell[axes - 2], column = cell[axes - 1];
    if (column > 0) {
      text += ' ';
    } else if (!text.empty()) {
      text += row > 0 ? "\n" : "\n\n";
    }
    if (axes > 2 && row == 0 && column == 0) text += slice_title(cell);
    const uint32_t word = ortho.payload[shape.index(cell)];
    text += padded(word == kEmptyCell ? "·" : words[word], width);
  }
  return text;
}

}  // namespace spillway::expand::ortho
