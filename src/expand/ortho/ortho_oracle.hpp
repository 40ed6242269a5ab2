// The growth of orthos, written plainly, for the tests to compare the search with: these functions favour
// clarity and allocate freely.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "expand/ortho/ortho_rules.hpp"
#include "expand/ortho/siphash13.hpp"

namespace spillway::expand::ortho {

inline Ortho first_ortho() { return {{2, 2}, std::vector<uint32_t>(4, kEmptyCell), std::nullopt}; }

// Where `word` would come among the words of the first shell.
inline uint32_t insert_axis(const Ortho& ortho, uint32_t word) {
  uint32_t axis = 0;
  for (size_t p = 1; p <= ortho.dims.size(); ++p) {
    if (ortho.payload[p] == kEmptyCell) continue;
    if (word < ortho.payload[p]) return axis;
    ++axis;
  }
  return axis;
}

// The first empty cell.
inline uint32_t cursor(const Ortho& ortho) {
  return static_cast<uint32_t>(std::find(ortho.payload.begin(), ortho.payload.end(), kEmptyCell) -
                               ortho.payload.begin());
}

inline Ortho grown(const Ortho& ortho, uint32_t word, OrthoRules rules, const Shape& to,
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

inline std::vector<Ortho> grow(const Ortho& ortho, uint32_t word, OrthoRules rules) {
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

// The boxes that follow from putting `word` at the cursor: one, or those a completed box grows into.
inline std::vector<Ortho> add(const Ortho& ortho, uint32_t word, OrthoRules rules) {
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

// The words that may stand at the cursor, ascending.
inline std::vector<uint32_t> next_words(const Ortho& ortho, OrthoRules rules,
                                        const PhraseIndex& index) {
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

inline void add_optional(SipHash13& hash, std::optional<uint64_t> value) {
  hash.add(value ? 1 : 0);
  if (value) hash.add(*value);
}

// The 63-bit id of an ortho: SipHash-1-3 of its dims, payload and (current) up_axis.
inline uint64_t ortho_id(const Ortho& ortho, OrthoRules rules) {
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
