#include "transform/flat/ranking.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

// Four 16-bit fields, falling; absent ones are 0.
uint64_t packed_falling(std::array<uint64_t, 4> v) {
  const auto order = [](uint64_t& a, uint64_t& b) {
    const uint64_t high = std::max(a, b), low = std::min(a, b);
    a = high;
    b = low;
  };
  order(v[0], v[1]);
  order(v[2], v[3]);
  order(v[0], v[2]);
  order(v[1], v[3]);
  order(v[1], v[2]);
  return v[0] << 48 | v[1] << 32 | v[2] << 16 | v[3];
}

// Stable; classes are small once they have been told apart by what their atoms are.
template <class Key>
void sort_by(int* atoms, int size, const Key& key) {
  for (int i = 1; i < size; ++i) {
    const int atom = atoms[i];
    const auto own = key(atom);
    int place = i;
    for (; place > 0 && own < key(atoms[place - 1]); --place) atoms[place] = atoms[place - 1];
    atoms[place] = atom;
  }
}

// What tells atoms apart before their neighbours' ranks do.
uint64_t own_key(const Atom& atom) {
  std::array<uint64_t, 4> bonds{};
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    bonds[at(slot)] = uint64_t{bond.order} << 2 | bond.geometry;
  }
  const uint64_t sorted = packed_falling(bonds);
  const uint64_t packed = (sorted >> 48) << 12 | ((sorted >> 32) & 15) << 8 |
                          ((sorted >> 16) & 15) << 4 | (sorted & 15);
  return uint64_t{atom.degree} << 44 | uint64_t{atom.element} << 36 |
         uint64_t{atom.hydrogens} << 32 | uint64_t{static_cast<uint8_t>(atom.charge)} << 24 |
         uint64_t{atom.chirality != kNotChiral} << 16 | packed;
}

}  // namespace

uint64_t Ranking::neighbour_key(const Atom& atom) const {
  std::array<uint64_t, 4> bonds{};
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    bonds[at(slot)] = uint64_t{bond.order} << 14 | uint64_t{bond.geometry} << 12 |
                      static_cast<uint64_t>(index_[bond.to]);
  }
  return packed_falling(bonds);
}

// 0 while two neighbours are tied: then their order tells nothing.
int Ranking::chiral_rank(const Atom& atom) const {
  int odd = 0;
  for (int slot = 0; slot < atom.degree; ++slot) {
    const int own = index_[atom.bond[at(slot)].to];
    for (int before = 0; before < slot; ++before) {
      const int other = index_[atom.bond[at(before)].to];
      if (other == own) return 0;
      odd ^= other > own ? 1 : 0;
    }
  }
  return (atom.chirality == kClockwise) != (odd != 0) ? 2 : 1;
}

void Ranking::push_touched() {
  for (size_t word = 0; word < touched_.size(); ++word) {
    uint64_t bits = std::exchange(touched_[word], 0);
    for (; bits != 0; bits &= bits - 1) {
      const int leader = order_[word * 64 + at(std::countr_zero(bits))];
      if (count_[at(leader)] < 2 || on_stack_[at(leader)] != 0) continue;
      on_stack_[at(leader)] = 1;
      stack_[at(top_++)] = leader;
    }
  }
}

void Ranking::touch_neighbours(const Atom& atom, bool mark) {
  for (int slot = 0; slot < atom.degree; ++slot) {
    const size_t next = atom.bond[at(slot)].to;
    if (mark) changed_[next] = 1;
    touched_[at(index_[next]) >> 6] |= uint64_t{1} << (index_[next] & 63);
  }
}

bool Ranking::is_changed(int offset, int size) const {
  for (int i = offset; i < offset + size; ++i) {
    if (changed_[at(order_[at(i)])] != 0) return true;
  }
  return false;
}

// As if the one class of all atoms had been sorted: all but the first of the new ones have a new index.
void Ranking::start(const Molecule& molecule) {
  constexpr int kAtomBits = 12;
  const int n = molecule.atoms;
  for (int i = 0; i < n; ++i)
    key_[at(i)] = own_key(molecule.at(i)) << kAtomBits | static_cast<uint64_t>(i);
  std::sort(key_.begin(), key_.begin() + n);
  std::fill_n(on_stack_.begin(), n, uint8_t{0});
  std::fill_n(changed_.begin(), n, uint8_t{0});
  touched_.fill(0);
  top_ = 0;
  for (int i = 0; i < n; ++i)
    order_[at(i)] = static_cast<int>(key_[at(i)] & ((1u << kAtomBits) - 1));
  for (int i = 0; i < n;) {
    int end = i + 1;
    index_[at(order_[at(i)])] = i;
    for (; end < n && key_[at(end)] >> kAtomBits == key_[at(i)] >> kAtomBits; ++end) {
      count_[at(order_[at(end)])] = 0;
      index_[at(order_[at(end)])] = i;
    }
    count_[at(order_[at(i)])] = end - i;
    i = end;
  }
  for (int i = count_[at(order_[0])]; i < n; ++i)
    touch_neighbours(molecule.at(order_[at(i)]), true);
  push_touched();
}

// The class at `offset` is sorted and its counts are set: the atoms of all but the first new class get
// their index, and what hangs on them is looked at again.
void Ranking::settle(const Molecule& molecule, int offset, int size) {
  for (int i = offset; i < offset + size; ++i) changed_[at(order_[at(i)])] = 0;
  const int first = count_[at(order_[at(offset)])];
  int index = offset;
  for (int i = offset + first; i < offset + size; ++i) {
    const int atom = order_[at(i)];
    if (count_[at(atom)] != 0) index = i;
    index_[at(atom)] = index;
    const Atom& one = molecule.at(atom);
    for (int slot = 0; slot < one.degree; ++slot) changed_[one.bond[at(slot)].to] = 1;
  }
  if (first == size) return;
  for (int i = offset + first; i < offset + size; ++i)
    touch_neighbours(molecule.at(order_[at(i)]), false);
  push_touched();
}

void Ranking::refine_pair(const Molecule& molecule, int offset) {
  int& first = order_[at(offset)];
  int& second = order_[at(offset + 1)];
  const uint64_t a = neighbour_key(molecule.at(first)), b = neighbour_key(molecule.at(second));
  changed_[at(first)] = changed_[at(second)] = 0;
  if (a == b) return;
  if (a > b) std::swap(first, second);
  count_[at(first)] = count_[at(second)] = 1;
  settle(molecule, offset, 2);
}

// A sorted class falls apart where the key changes.
template <class Key>
void Ranking::count_by(int offset, int size, const Key& key) {
  for (int i = offset; i < offset + size;) {
    const int leader = order_[at(i)];
    int next = i + 1;
    for (; next < offset + size && key(order_[at(next)]) == key(leader); ++next)
      count_[at(order_[at(next)])] = 0;
    count_[at(leader)] = next - i;
    i = next;
  }
}

void Ranking::refine_plain(const Molecule& molecule, int offset, int size) {
  uint64_t low = UINT64_MAX, high = 0;
  for (int i = offset; i < offset + size; ++i) {
    const uint64_t key = neighbour_key(molecule.at(order_[at(i)]));
    key_[at(order_[at(i)])] = key;
    low = std::min(low, key);
    high = std::max(high, key);
  }
  if (low == high) {
    for (int i = offset; i < offset + size; ++i) changed_[at(order_[at(i)])] = 0;
    return;
  }
  const auto key = [&](int atom) { return key_[at(atom)]; };
  sort_by(&order_[at(offset)], size, key);
  count_by(offset, size, key);
  settle(molecule, offset, size);
}

void Ranking::refine_centres(const Molecule& molecule, int offset, int size) {
  for (int i = offset; i < offset + size; ++i) {
    const int atom = order_[at(i)];
    key_[at(atom)] = neighbour_key(molecule.at(atom));
    chiral_[at(atom)] = chiral_rank(molecule.at(atom));
  }
  const auto key = [&](int atom) { return std::pair(chiral_[at(atom)], key_[at(atom)]); };
  sort_by(&order_[at(offset)], size, key);
  count_by(offset, size, key);
  settle(molecule, offset, size);
}

void Ranking::refine_classes(const Molecule& molecule) {
  while (top_ > 0) {
    const int leader = stack_[at(--top_)];
    on_stack_[at(leader)] = 0;
    const int size = count_[at(leader)], offset = index_[at(leader)];
    if (!is_changed(offset, size)) continue;
    if (molecule.at(leader).chirality != kNotChiral) {
      refine_centres(molecule, offset, size);
    } else if (size == 2) {
      refine_pair(molecule, offset);
    } else {
      refine_plain(molecule, offset, size);
    }
  }
}

bool Ranking::has_ties(const Molecule& molecule) const {
  for (int i = 0; i < molecule.atoms; ++i) {
    if (count_[at(i)] == 0) return true;
  }
  return false;
}

// RDKit's condition for telling atoms of highly symmetric ring systems apart by their neighbourhoods.
bool Ranking::needs_ring_symmetry(const Molecule& molecule) const {
  unsigned symmetric = 0, in_rings = 0;
  bool branches = false;
  for (int i = 0; i < molecule.atoms; ++i) {
    if (molecule.at(i).rings == 0) continue;
    ++in_rings;
    if (count_[at(i)] > 2) symmetric += static_cast<unsigned>(count_[at(i)]);
    branches |= molecule.at(i).rings > 1 && count_[at(i)] > 1;
  }
  return in_rings > 0 && branches &&
         static_cast<float>(symmetric) / static_cast<float>(in_rings) > 0.5f;
}

// Whether tied ring atoms could be told apart by a centre beside them.
bool Ranking::needs_ring_chirality(const Molecule& molecule) const {
  if (molecule.centres == 0) return false;
  for (int i = 0; i < molecule.atoms; ++i) {
    const Atom& atom = molecule.at(i);
    if (count_[at(i)] == 1 || atom.rings == 0) continue;
    for (int slot = 0; slot < atom.degree; ++slot) {
      if (molecule.at(atom.bond[at(slot)].to).chirality != kNotChiral) return true;
    }
  }
  return false;
}

bool Ranking::refine(const Molecule& molecule) {
  start(molecule);
  refine_classes(molecule);
  return !has_ties(molecule) || !(needs_ring_symmetry(molecule) || needs_ring_chirality(molecule));
}

void Ranking::break_ties(const Molecule& molecule) {
  for (int i = 0; i < molecule.atoms; ++i) {
    const int leader = order_[at(i)];
    const int before = index_[at(leader)];
    while (count_[at(leader)] > 1) {
      const int size = count_[at(leader)];
      const int last = index_[at(leader)] + size - 1;
      const int atom = order_[at(last)];
      index_[at(atom)] = last;
      count_[at(leader)] = size - 1;
      count_[at(atom)] = 1;
      if (molecule.at(atom).degree == 0) continue;
      touch_neighbours(molecule.at(atom), true);
      push_touched();
      refine_classes(molecule);
    }
    if (index_[at(leader)] != before) --i;
  }
}

}  // namespace spillway::transform::flat
