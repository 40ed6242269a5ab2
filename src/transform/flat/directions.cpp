#include "transform/flat/directions.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

}  // namespace

void Directions::add(Item::Kind kind, int atom, int slot) {
  item_[at(items_++)] = {kind, u16(atom), u16(slot)};
}

bool Directions::list(int index) {
  const Atom& atom = molecule_->at(index);
  add(Item::kAtom, index);
  atom_place_[at(index)] = items_;
  const Traversal::Slots& closures = traversal_->closures(index);
  for (int i = 0; i < closures.count; ++i) {
    const int slot = closures.slot[at(i)];
    const Bond& bond = atom.bond[at(slot)];
    if (const int number = number_[at(index)][at(slot)]; number != 0) {
      add(Item::kBond, index, slot);
      bond_place_[bond.number] = items_;
      add(Item::kNumber, number);
      numbers_.free_after(number);
    } else {
      const int taken = numbers_.take();
      if (taken == 0) return false;
      number_[bond.to][at(molecule_->at(bond.to).slot_of(index))] = u8(taken);
      is_closure_[bond.number] = 1;
      add(Item::kNumber, taken);
    }
  }
  numbers_.next_atom();
  const Traversal::Slots& children = traversal_->children(index);
  for (int i = 0; i < children.count; ++i) {
    const int slot = children.slot[at(i)];
    const Bond& bond = atom.bond[at(slot)];
    const bool is_branch = i + 1 < children.count;
    if (is_branch) add(Item::kOpen, 0);
    add(Item::kBond, index, slot);
    bond_place_[bond.number] = items_;
    if (!list(bond.to)) return false;
    if (is_branch) add(Item::kClose, 0);
  }
  return true;
}

bool Directions::closes_backwards(int bond) const {
  const BondEnds& ends = molecule_->ends_of(bond);
  return ends.begin > ends.end && ends.begin - ends.end > 1 && is_closure_[at(bond)] != 0;
}

int Directions::other_end(int bond, int atom) const {
  const BondEnds& ends = molecule_->ends_of(bond);
  return ends.begin == atom ? ends.end : ends.begin;
}

void Directions::flip(int bond) {
  if (direction_[at(bond)] != kNoDirection) direction_[at(bond)] = opposite(direction_[at(bond)]);
}

// Whether nothing but what is within the branch of one stands between the two.
bool Directions::is_same_branch(int double_bond, int bond) const {
  bool seen = false;
  int depth = 0;
  for (int i = 0; i < items_; ++i) {
    const Item& item = item_[at(i)];
    if (item.kind == Item::kBond) {
      const int number = molecule_->bond(item.atom, item.slot).number;
      if (number != double_bond && number != bond) continue;
      if (seen) return depth == 0;
      seen = true;
    } else if (seen && item.kind == Item::kOpen) {
      ++depth;
    } else if (seen && item.kind == Item::kClose) {
      --depth;
    }
  }
  return false;
}

Directions::Around Directions::around(int index, int skip) const {
  Around found;
  const Atom& atom = molecule_->at(index);
  for (int slot = 0; slot < atom.degree; ++slot) {
    const int bond = atom.bond[at(slot)].number;
    if (bond == skip) continue;
    found.is_set |= bond_uses_[at(bond)] > 0;
    if (found.first < 0 || bond_place_[at(bond)] < bond_place_[at(found.first)]) {
      if (found.first >= 0) found.second = found.first;
      found.first = bond;
    } else {
      found.second = bond;
    }
  }
  return found;
}

void Directions::mark(int bond, int atom, uint8_t direction) {
  direction_[at(bond)] = direction;
  ++bond_uses_[at(bond)];
  ++atom_uses_[at(atom)];
}

bool Directions::resolve_one(const DoubleBond& bond) {
  int near = bond.end[0].atom, far = bond.end[1].atom;
  if (atom_place_[at(near)] >= atom_place_[at(far)]) std::swap(near, far);
  const int number = bond.number;
  const Around a = around(near, number), b = around(far, number);
  const auto controls = [&](int atom) {
    return atom == bond.end[0].control || atom == bond.end[1].control;
  };
  const auto clash = [&](int first, int second, int atom, int opposite_first) {
    return second >= 0 && direction_[at(first)] == direction_[at(second)] &&
           bond_uses_[at(opposite_first)] > 0 &&
           (molecule_->ends_of(first).begin == atom) == (molecule_->ends_of(second).begin == atom);
  };
  const auto is_branched = [&](int atom) { return molecule_->at(atom).degree == 3; };
  // The direction at one end is found or chosen; it says that at the other.
  const bool from_near = !b.is_set;
  const int from = from_near ? near : far;
  const Around& known = from_near ? a : b;
  const Around& other = from_near ? b : a;
  int source = known.first;
  uint8_t direction = kUp;
  if (!known.is_set) {
    mark(known.first, from, kUp);
  } else if (bond_uses_[at(known.first)] > 0) {
    direction = direction_[at(known.first)];
    ++bond_uses_[at(known.first)];
    ++atom_uses_[at(from)];
    if (clash(known.first, known.second, from, other.first)) return false;
  } else {
    if (known.second < 0 || bond_uses_[at(known.second)] == 0) return false;
    direction = direction_[at(known.second)];
    mark(known.first, from, direction);
    ++atom_uses_[at(from)];
    source = known.second;
  }
  if (from_near) {
    uint8_t derived = bond.geometry == kE ? direction : opposite(direction);
    bool was_flipped = false;
    if (is_branched(near) && !controls(other_end(source, near))) {
      was_flipped = true;
      derived = opposite(derived);
    }
    if (is_branched(far) && !controls(other_end(b.first, far))) {
      was_flipped = true;
      derived = opposite(derived);
    }
    if (!was_flipped && closes_backwards(number)) derived = opposite(derived);
    mark(b.first, far, derived);
  } else {
    uint8_t derived = bond.geometry == kE ? opposite(direction) : direction;
    if (is_branched(far) && !controls(other_end(source, far))) derived = opposite(derived);
    if (is_branched(near) && !controls(other_end(a.first, near))) derived = opposite(derived);
    mark(a.first, near, opposite(derived));
  }
  if (is_branched(near)) {
    if (bond_uses_[at(a.second)] == 0) {
      const uint8_t first = direction_[at(a.first)];
      direction_[at(a.second)] = is_same_branch(number, a.second) ? opposite(first) : first;
    }
    ++bond_uses_[at(a.second)];
    ++atom_uses_[at(near)];
  }
  if (is_branched(far)) {
    if (bond_uses_[at(b.second)] == 0) {
      const uint8_t first = direction_[at(b.first)];
      direction_[at(b.second)] = is_closure_[at(b.second)] != 0 ? first : opposite(first);
    }
    ++bond_uses_[at(b.second)];
    ++atom_uses_[at(far)];
  }
  if (from_near && bond_place_[at(source)] > atom_place_[at(near)]) {
    if (bond_uses_[at(source)] == 1) {
      if (is_closure_[at(source)] == 0) flip(source);
    } else if (bond_uses_[at(b.first)] == 1) {
      flip(b.first);
      if (b.second >= 0 && bond_uses_[at(b.second)] >= 1) flip(b.second);
    }
  }
  // A double bond that follows gets its direction from this one.
  const int next = other_end(b.first, far);
  if (!is_branched(next)) return true;
  int single = -1;
  bool has_double = false;
  for (const Bond& beside : molecule_->at(next).bond) {
    if (&beside == molecule_->at(next).bond.data() + 3) break;
    if (beside.order == kDouble && beside.geometry != kNoGeometry) {
      has_double = true;
    } else if (beside.order == kSingle && beside.number != b.first) {
      single = beside.number;
    }
  }
  if (has_double && single >= 0 && direction_[at(single)] == kNoDirection) {
    const uint8_t first = direction_[at(b.first)];
    mark(single, next, closes_backwards(single) ? opposite(first) : first);
  }
  return true;
}

void Directions::clear(int reference, int index) {
  const auto lower = [&](int bond) {
    if (--bond_uses_[at(bond)] != 0) return;
    direction_[at(bond)] = kNoDirection;
    --atom_uses_[molecule_->ends_of(bond).begin];
    --atom_uses_[molecule_->ends_of(bond).end];
  };
  const auto is_spare = [&](int bond) {
    return atom_uses_[molecule_->ends_of(bond).begin] != 1 &&
           atom_uses_[molecule_->ends_of(bond).end] != 1;
  };
  bool is_possible = false, is_done = false;
  const Atom& atom = molecule_->at(index);
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    if (bond.number == reference || !(bond.order == kSingle || bond.order == kAromatic)) continue;
    is_possible = true;
    if (bond_uses_[bond.number] < bond_uses_[at(reference)] || !is_spare(bond.number)) continue;
    is_done = true;
    lower(bond.number);
  }
  if (is_possible && !is_done && is_spare(reference)) lower(reference);
}

// Takes off what other marks say as well.
void Directions::tidy() {
  for (int i = 0; i < items_; ++i) {
    const Item& item = item_[at(i)];
    if (item.kind != Item::kBond) continue;
    const Bond& bond = molecule_->bond(item.atom, item.slot);
    if (!(bond.order == kSingle || bond.order == kAromatic) || bond_uses_[bond.number] < 1) {
      direction_[bond.number] = kNoDirection;
      continue;
    }
    for (const int end : {int{item.atom}, int{bond.to}}) {
      const Atom& atom = molecule_->at(end);
      for (int slot = 0; slot < atom.degree; ++slot) {
        const Bond& beside = atom.bond[at(slot)];
        if (beside.number == bond.number || beside.order != kDouble ||
            beside.geometry == kNoGeometry)
          continue;
        clear(bond.number, end);
        break;
      }
    }
  }
}

bool Directions::resolve(const Molecule& molecule, const Traversal& traversal) {
  molecule_ = &molecule;
  traversal_ = &traversal;
  numbers_ = RingNumbers();
  items_ = 0;
  const auto zero = [](auto& values, int count) {
    std::fill_n(values.begin(), count, typename std::decay_t<decltype(values)>::value_type{});
  };
  zero(number_, molecule.atoms);
  zero(atom_uses_, molecule.atoms);
  zero(bond_uses_, molecule.bonds);
  zero(direction_, molecule.bonds);
  zero(is_closure_, molecule.bonds);
  if (!list(traversal.first())) return false;
  for (int i = 0; i < items_; ++i) {
    const Item& item = item_[at(i)];
    if (item.kind != Item::kBond) continue;
    const Bond& bond = molecule.bond(item.atom, item.slot);
    if (bond.order != kDouble || bond.geometry == kNoGeometry) continue;
    for (int k = 0; k < molecule.double_bonds; ++k) {
      const DoubleBond& one = molecule.double_bond[at(k)];
      if (one.number == bond.number && !resolve_one(one)) return false;
    }
  }
  tidy();
  return true;
}

}  // namespace spillway::transform::flat
