#include "expand/ortho/ortho_rules.hpp"

#include <algorithm>
#include <numeric>

#include "expand/ortho/siphash13.hpp"

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

Ortho Ortho::start() { return {{2, 2}, std::vector<uint32_t>(4, kEmptyCell), std::nullopt}; }

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

uint32_t insert_axis(const Ortho& ortho, uint32_t word) {
  uint32_t axis = 0;
  for (size_t p = 1; p <= ortho.dims.size(); ++p) {
    if (ortho.payload[p] == kEmptyCell) continue;
    if (word < ortho.payload[p]) return axis;
    ++axis;
  }
  return axis;
}

uint32_t cursor(const Ortho& ortho) {
  return static_cast<uint32_t>(std::find(ortho.payload.begin(), ortho.payload.end(), kEmptyCell) -
                               ortho.payload.begin());
}

namespace {

Ortho grown(const Ortho& ortho, uint32_t word, OrthoRules rules, const Shape& to,
            std::span<const uint32_t> map, std::optional<uint32_t> up_axis) {
  Ortho child{to.dims(), std::vector<uint32_t>(to.size(), kEmptyCell), std::nullopt};
  for (size_t i = 0; i < map.size(); ++i) child.payload[map[i]] = ortho.payload[i];
  if (rules == OrthoRules::kCurrent) {
    child.payload[map[cursor(ortho)]] = word;
    child.up_axis = up_axis;
  } else {
    child.payload[cursor(child)] = word;
  }
  return child;
}

std::vector<Ortho> grow(const Ortho& ortho, uint32_t word, OrthoRules rules) {
  std::vector<Ortho> children;
  const Shape from(ortho.dims);
  for (const Dims& dims : over_shapes(ortho.dims, rules)) {
    const Shape to(dims);
    children.push_back(grown(ortho, word, rules, to, map_over(from, to), std::nullopt));
  }
  if (is_all_twos(ortho.dims)) {
    const uint32_t axis = insert_axis(ortho, word);
    const Shape to(up_shape(ortho.dims, axis));
    children.push_back(grown(ortho, word, rules, to, map_up(from, to, axis), axis));
  }
  return children;
}

}  // namespace

std::vector<Ortho> add(const Ortho& ortho, uint32_t word, OrthoRules rules) {
  if (std::count(ortho.payload.begin(), ortho.payload.end(), kEmptyCell) == 1) {
    return grow(ortho, word, rules);
  }
  Ortho child = ortho;
  const uint32_t at = cursor(ortho);
  child.payload[at] = word;
  if (at == 2 && child.dims == Dims{2, 2} && child.payload[1] > child.payload[2]) {
    std::swap(child.payload[1], child.payload[2]);
  }
  return {child};
}

std::vector<uint32_t> next_words(const Ortho& ortho, OrthoRules rules, const PhraseIndex& index) {
  const Shape shape(ortho.dims);
  const uint32_t at = cursor(ortho);
  std::vector<bool> allowed(index.word_count(), true);
  for (const std::vector<uint32_t>& line : shape.required(at)) {
    std::vector<uint32_t> prefix;
    for (const uint32_t cell : line) prefix.push_back(ortho.payload[cell]);
    const uint32_t node = index.find(prefix);
    if (node == PhraseIndex::kNone) return {};
    std::vector<bool> completes(index.word_count(), false);
    for (const uint32_t word : index.completions(node)) completes[word] = true;
    for (size_t w = 0; w < allowed.size(); ++w) allowed[w] = allowed[w] && completes[w];
  }
  for (const uint32_t cell : shape.forbidden(at, rules, ortho.up_axis)) {
    if (ortho.payload[cell] != kEmptyCell) allowed[ortho.payload[cell]] = false;
  }
  std::vector<uint32_t> words;
  for (uint32_t w = 0; w < allowed.size(); ++w) {
    if (allowed[w]) words.push_back(w);
  }
  return words;
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

namespace {

void add_optional(SipHash13& hash, std::optional<uint64_t> value) {
  hash.add(value ? 1 : 0);
  if (value) hash.add(*value);
}

}  // namespace

uint64_t ortho_id(const Ortho& ortho, OrthoRules rules) {
  SipHash13 hash;
  hash.add(ortho.dims.size());
  for (const uint32_t length : ortho.dims) hash.add(length);
  hash.add(ortho.payload.size());
  for (const uint32_t word : ortho.payload) {
    add_optional(hash, word == kEmptyCell ? std::nullopt : std::optional<uint64_t>(word));
  }
  if (rules == OrthoRules::kCurrent) add_optional(hash, ortho.up_axis);
  return hash.finish() & 0x7FFF'FFFF'FFFF'FFFF;
}

}  // namespace spillway::expand::ortho
