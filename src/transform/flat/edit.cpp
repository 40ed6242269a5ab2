#include "transform/flat/edit.hpp"

#include <algorithm>
#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

constexpr Bytes kSiteCost{160};  // a node of the map, its key and its list

bool is_stereo_bond(const Molecule& molecule, const Bond& bond) {
  return bond.geometry != kNoGeometry || molecule.ends_of(bond.number).direction != kNoDirection;
}

// A multiple bond that leaves a ring decides whether the ring is aromatic.
bool has_multiple_bond_to_ring(const Molecule& molecule, const Atom& atom) {
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    if (bond.rings == 0 && bond.order != kSingle && molecule.at(bond.to).rings != 0) return true;
  }
  return false;
}

bool is_unclean(const Atom& atom) {
  if (atom.charge != 0 || atom.aromatic != 0) return false;
  int valence = atom.hydrogens;
  for (int slot = 0; slot < atom.degree; ++slot) {
    const uint8_t order = atom.bond[at(slot)].order;
    valence += order == kDouble ? 2 : order == kTriple ? 3 : 1;
  }
  return may_be_cleaned(atom.element, valence, atom.degree);
}

// What an edit asks of an atom's surroundings.
uint64_t surroundings(const Molecule& molecule, const Atom& atom) {
  uint64_t key = uint64_t{atom.element} | uint64_t{static_cast<uint8_t>(atom.charge)} << 8 |
                 uint64_t{atom.hydrogens} << 16 | uint64_t{atom.given_hydrogens} << 24 |
                 uint64_t{atom.aromatic} << 32 | uint64_t{atom.rings != 0} << 33 |
                 uint64_t{has_multiple_bond_to_ring(molecule, atom)} << 34 |
                 uint64_t{atom.chirality != kNotChiral} << 35;
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    key += uint64_t{1} << (36 + 3 * bond.order + (bond.rings != 0 ? 12 : 0));
  }
  return key;
}

bool is_same_atom(const Atom& a, const Atom& b) {
  if (a.element != b.element || a.hydrogens != b.hydrogens || a.charge != b.charge ||
      a.aromatic != b.aromatic || a.rings != b.rings || a.degree != b.degree ||
      a.chirality != b.chirality || a.given_hydrogens != b.given_hydrogens || !(a.token == b.token))
    return false;
  for (int slot = 0; slot < a.degree; ++slot) {
    const Bond& one = a.bond[at(slot)];
    const int other = b.slot_of(one.to);
    if (other < 0) return false;
    const Bond& same = b.bond[at(other)];
    if (one.order != same.order || one.rings != same.rings || one.symbol != same.symbol)
      return false;
  }
  return true;
}

bool is_same_graph(const Molecule& a, const Molecule& b) {
  if (a.atoms != b.atoms) return false;
  for (int i = 0; i < a.atoms; ++i) {
    if (!is_same_atom(a.at(i), b.at(i))) return false;
  }
  return true;
}

}  // namespace

bool SiteEditor::is_clean(const Molecule& molecule) {
  const auto begin = molecule.atom.begin();
  return std::none_of(begin, begin + molecule.atoms, is_unclean);
}

// The shortest way over ring bonds; false when there is none, or two of one length.
bool SiteEditor::find_ring(const Molecule& molecule, int from, int to, int without) {
  constexpr uint16_t kUnseen = 0xffff;
  std::fill_n(distance_.begin(), molecule.atoms, kUnseen);
  int waiting = 0, next = 0;
  const auto reach = [&](int atom, int parent, int distance) {
    distance_[at(atom)] = u16(distance);
    parent_[at(atom)] = u16(parent);
    ways_[at(atom)] = 1;
    queue_[at(waiting++)] = u16(atom);
  };
  reach(from, from, 0);
  while (next < waiting && distance_[at(to)] >= distance_[queue_[at(next)]]) {
    const int atom = queue_[at(next++)];
    const Atom& own = molecule.at(atom);
    for (int slot = 0; slot < own.degree; ++slot) {
      const Bond& bond = own.bond[at(slot)];
      if (bond.rings == 0 || bond.to == without) continue;
      if (distance_[bond.to] == kUnseen) {
        reach(bond.to, atom, distance_[at(atom)] + 1);
        ways_[bond.to] = ways_[at(atom)];
      } else if (distance_[bond.to] == distance_[at(atom)] + 1) {
        ways_[bond.to] = 2;
      }
    }
  }
  if (distance_[at(to)] == kUnseen || ways_[at(to)] != 1) return false;
  ring_size_ = 0;
  for (int atom = to;; atom = parent_[at(atom)]) {
    ring_[at(ring_size_++)] = u16(atom);
    if (atom == from) return true;
  }
}

// Whether no multiple bond of the ring leaves another ring once this one is open, and none of its atoms has one to
// another: they may decide whether that is aromatic.
bool SiteEditor::opens_plainly(const Molecule& molecule) {
  std::fill_n(dead_.begin(), molecule.atoms, uint8_t{0});
  for (int i = 0; i < ring_size_; ++i) dead_[ring_[at(i)]] = 1;
  const auto is_ring_after = [&](int atom) { return molecule.at(atom).rings > dead_[at(atom)]; };
  for (int i = 0; i < ring_size_; ++i) {
    const int index = ring_[at(i)];
    const Atom& atom = molecule.at(index);
    for (int slot = 0; slot < atom.degree; ++slot) {
      const Bond& bond = atom.bond[at(slot)];
      const bool is_of_ring = (i > 0 && ring_[at(i - 1)] == bond.to) ||
                              (i + 1 < ring_size_ && ring_[at(i + 1)] == bond.to);
      if (bond.order == kSingle || bond.rings > (is_of_ring ? 1 : 0)) continue;
      if (is_ring_after(index) || is_ring_after(bond.to)) return false;
    }
  }
  return true;
}

// What hangs on the atoms that are taken away, beside the match: it is cut off with them, unless a ring leads
// back to the match.
bool SiteEditor::look_beyond(const EditShape& shape, const Molecule& molecule,
                             std::span<const int> match) {
  fars_ = ring_size_ = 0;
  cuts_off_ = false;
  for (const int place : shape.gone) {
    const int gone = match[at(place)];
    const Atom& atom = molecule.at(gone);
    if (atom.aromatic != 0) return false;
    int in_match = -1, beyond = -1, ring_bonds = 0;
    for (int slot = 0; slot < atom.degree; ++slot) {
      const Bond& bond = atom.bond[at(slot)];
      const bool is_matched = place_[bond.to] >= 0;
      cuts_off_ |= !is_matched;
      if (bond.rings == 0) continue;
      ++ring_bonds;
      (is_matched ? in_match : beyond) = bond.to;
    }
    if (in_match < 0) continue;
    if (ring_bonds != 2 || beyond < 0 || atom.rings != 1 || fars_ != 0 ||
        !opens_at(shape, molecule, gone, in_match, beyond))
      return false;
  }
  return true;
}

// Whether the ring that `gone` closes can be opened: between an atom that is kept and one beyond the match.
bool SiteEditor::opens_at(const EditShape& shape, const Molecule& molecule, int gone, int kept,
                          int beyond) {
  if (std::find(shape.kept.begin(), shape.kept.end(), place_[at(kept)]) == shape.kept.end())
    return false;
  const Atom& far = molecule.at(beyond);
  if (far.bond[at(far.slot_of(gone))].order != kSingle || far.chirality != kNotChiral ||
      (far.given_hydrogens & 1) != 0)
    return false;
  for (int slot = 0; molecule.double_bonds != 0 && slot < far.degree; ++slot) {
    if (is_stereo_bond(molecule, far.bond[at(slot)])) return false;
  }
  far_[at(fars_++)] = {u16(beyond), u16(gone)};
  return find_ring(molecule, kept, beyond, gone) && opens_plainly(molecule);
}

// As RDKit's reactions do: a centre keeps its sense when one neighbour at most is another.
bool SiteEditor::keeps_centres(const EditShape& shape, const Molecule& molecule,
                               std::span<const int> match) const {
  for (size_t k = 0; k < shape.kept.size(); ++k) {
    const Atom& atom = molecule.at(match[at(shape.kept[k])]);
    if (atom.chirality == kNotChiral) continue;
    int gone = 0;
    for (int slot = 0; slot < atom.degree; ++slot) {
      const int place = place_[atom.bond[at(slot)].to];
      const bool is_gone =
          place >= 0 && std::find(shape.gone.begin(), shape.gone.end(), place) != shape.gone.end();
      gone += is_gone ? 1 : 0;
    }
    if (!shape.keeps_bonds[k] || gone > 1) return false;
  }
  return true;
}

bool SiteEditor::fits(const EditShape& shape, const Molecule& molecule,
                      std::span<const int> match) {
  if (shape.kept.empty() || shape.places > kMostPlaces || shape.added.size() > kMostAdded)
    return false;
  std::fill_n(place_.begin(), molecule.atoms, int8_t{-1});
  for (int place = 0; place < shape.places; ++place) {
    const int index = match[at(place)];
    const Atom& atom = molecule.at(index);
    place_[at(index)] = static_cast<int8_t>(place);
    // A stereo bond at the match, or one that refers to a neighbour of it.
    for (int slot = 0; molecule.double_bonds != 0 && slot < atom.degree; ++slot) {
      if (is_stereo_bond(molecule, atom.bond[at(slot)])) return false;
      const Atom& next = molecule.at(atom.bond[at(slot)].to);
      for (int k = 0; k < next.degree; ++k) {
        if (next.bond[at(k)].geometry != kNoGeometry) return false;
      }
    }
  }
  if (molecule.centres != 0 && !keeps_centres(shape, molecule, match)) return false;
  for (const EditShape::OldBond& old : shape.required) {
    const Atom& atom = molecule.at(match[at(old.a)]);
    const int slot = atom.slot_of(match[at(old.b)]);
    if (slot < 0 || atom.bond[at(slot)].order != old.order) return false;
  }
  return look_beyond(shape, molecule, match);
}

void SiteEditor::key_site(size_t rule, const EditShape& shape, const Molecule& molecule,
                          std::span<const int> match) {
  key_.clear();
  const auto add = [this](uint64_t value) {
    key_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  add(uint64_t{rule} << 8 | static_cast<uint64_t>(fars_) << 1 | (cuts_off_ ? 1 : 0));
  for (int place = 0; place < shape.places; ++place)
    add(surroundings(molecule, molecule.at(match[at(place)])));
  for (int i = 0; i < fars_; ++i) {
    add(surroundings(molecule, molecule.at(far_[at(i)].atom)));
    add(static_cast<uint64_t>(place_[far_[at(i)].gone]));
  }
}

void SiteEditor::cut(Molecule& product, int a, int b) const {
  const auto drop = [&](int from, int to) {
    Atom& atom = product.at(from);
    const auto begin = atom.bond.begin() + atom.slot_of(to);
    std::copy(begin + 1, atom.bond.begin() + atom.degree, begin);
    --atom.degree;
  };
  drop(a, b);
  drop(b, a);
}

bool SiteEditor::add_bond(Molecule& product, int a, int b, uint8_t order) const {
  Atom& one = product.at(a);
  Atom& other = product.at(b);
  if (one.degree == kMostDegree || other.degree == kMostDegree || product.bonds == kMostBonds)
    return false;
  const int number = product.bonds++;
  const char symbol = symbol_of(order, one.aromatic != 0 && other.aromatic != 0);
  one.bond[one.degree++] = {u16(b), u16(number), order, 0, kNoGeometry, symbol};
  other.bond[other.degree++] = {u16(a), u16(number), order, 0, kNoGeometry, symbol};
  product.ends_of(number) = {u16(a), u16(b), kNoDirection};
  return true;
}

// The ring is no ring any more; what else its atoms and bonds are in stays.
void SiteEditor::open_ring(Molecule& product) const {
  const auto lower = [&](int from, int to) {
    --product.bond(from, product.at(from).slot_of(to)).rings;
  };
  const auto lower_bond = [&](int a, int b) {
    lower(a, b);
    lower(b, a);
  };
  const int gone = far_[0].gone;
  product.at(gone).rings = 0;
  lower_bond(gone, ring_[0]);
  lower_bond(gone, ring_[at(ring_size_ - 1)]);
  for (int i = 0; i < ring_size_; ++i) {
    --product.at(ring_[at(i)]).rings;
    if (i > 0) lower_bond(ring_[at(i - 1)], ring_[at(i)]);
  }
}

// What the rule deletes, and what no longer hangs on an atom that it keeps.
void SiteEditor::find_dead(const EditShape& shape, const Molecule& product,
                           std::span<const int> match) {
  std::fill_n(dead_.begin(), product.atoms, uint8_t{0});
  for (const int place : shape.deleted) dead_[at(match[at(place)])] = 1;
  if (!cuts_off_) return;
  constexpr uint8_t kReached = 2;
  int waiting = 0, next = 0;
  const auto reach = [&](int atom) {
    if (dead_[at(atom)] != 0) return;
    dead_[at(atom)] = kReached;
    queue_[at(waiting++)] = u16(atom);
  };
  reach(match[at(shape.kept[0])]);
  while (next < waiting) {
    const Atom& atom = product.at(queue_[at(next++)]);
    for (int slot = 0; slot < atom.degree; ++slot) reach(atom.bond[at(slot)].to);
  }
  for (int i = 0; i < product.atoms; ++i) dead_[at(i)] = dead_[at(i)] == kReached ? 0 : 1;
}

void SiteEditor::remove_dead(Molecule& product) {
  int kept = 0;
  for (int i = 0; i < product.atoms; ++i)
    number_[at(i)] = dead_[at(i)] != 0 ? u16(0xffff) : u16(kept++);
  product.centres = 0;
  for (int i = 0; i < product.atoms; ++i) {
    if (dead_[at(i)] != 0) continue;
    const Atom from = product.at(i);
    Atom& to = product.at(number_[at(i)]);
    to = from;
    to.degree = 0;
    for (int slot = 0; slot < from.degree; ++slot) {
      const Bond& bond = from.bond[at(slot)];
      if (dead_[bond.to] != 0) continue;
      Bond& moved = to.bond[to.degree++];
      moved = bond;
      moved.to = number_[bond.to];
    }
    product.centres += to.chirality != kNotChiral ? 1 : 0;
  }
  product.atoms = kept;
  if (product.double_bonds == 0) return;
  for (int i = 0; i < product.bonds; ++i) {
    BondEnds& ends = product.ends_of(i);
    ends.begin = number_[ends.begin];
    ends.end = number_[ends.end];
  }
  int bonds = 0;
  for (int i = 0; i < product.double_bonds; ++i) {
    DoubleBond bond = product.double_bond[at(i)];
    if (dead_[bond.end[0].atom] != 0) continue;
    for (DoubleBond::End& end : bond.end) {
      end.atom = number_[end.atom];
      end.control = number_[end.control];
      for (int k = 0; k < end.others; ++k) end.other[at(k)] = number_[end.other[at(k)]];
    }
    product.double_bond[at(bonds++)] = bond;
  }
  product.double_bonds = bonds;
}

bool SiteEditor::apply(const EditShape& shape, const Molecule& molecule, std::span<const int> match,
                       std::span<const Change> changes, Molecule& product) {
  product.copy_from(molecule);
  const auto change = [&](int index, const Change& to) {
    Atom& atom = product.at(index);
    atom.element = to.element;
    atom.hydrogens = to.hydrogens;
    atom.charge = to.charge;
    atom.given_hydrogens = to.given_hydrogens;
    atom.token = to.token;
  };
  size_t next = 0;
  for (const int place : shape.kept) change(match[at(place)], changes[next++]);
  if (ring_size_ != 0) open_ring(product);
  for (size_t k = 0; k < shape.added.size(); ++k) {
    const int reused = shape.added[k];
    if (reused < 0 && product.atoms == kMostAtoms) return false;
    const int index = reused < 0 ? product.atoms++ : match[at(reused)];
    Atom& atom = product.at(index);
    if (reused < 0) atom.degree = atom.chirality = 0;
    product.centres -= atom.chirality != kNotChiral ? 1 : 0;
    atom.aromatic = atom.rings = atom.chirality = 0;
    change(index, changes[next++]);
    added_[k] = index;
    for (int slot = atom.degree - 1; slot >= 0; --slot) {
      const int other = atom.bond[at(slot)].to;
      if (other < molecule.atoms && place_[at(other)] < 0) cut(product, index, other);
    }
  }
  for (int i = 0; i < fars_; ++i) change(far_[at(i)].atom, changes[next++]);
  const auto index_of = [&](const EditShape::End& end) {
    return end.is_kept ? match[at(shape.kept[at(end.index)])] : added_[at(end.index)];
  };
  for (const EditShape::NewBond& bond : shape.new_bonds) {
    if (!bond.exists && !add_bond(product, index_of(bond.a), index_of(bond.b), bond.order))
      return false;
  }
  if (cuts_off_ || !shape.deleted.empty()) {
    find_dead(shape, product, match);
    remove_dead(product);
  }
  return true;
}

SiteEditor::Made SiteEditor::make(size_t rule, const EditShape& shape, const Molecule& molecule,
                                  std::span<const int> match, Molecule& product) {
  if (!fits(shape, molecule, match)) return Made::kNever;
  key_site(rule, shape, molecule, match);
  const auto found = learned_.find(std::string_view(key_));
  if (found == learned_.end()) return Made::kNotYet;
  if (found->second.empty() || !apply(shape, molecule, match, found->second, product))
    return Made::kNever;
  return Made::kYes;
}

// Whether rings, and what their electrons depend on, stay as they are but for one that is opened.
bool SiteEditor::leaves_rings(const EditShape& shape, const Molecule& molecule,
                              std::span<const int> match, std::span<const Change> changes) const {
  for (const int place : shape.gone) {
    if (has_multiple_bond_to_ring(molecule, molecule.at(match[at(place)]))) return false;
  }
  const auto is_gone = [&](int atom) {
    return place_[at(atom)] >= 0 &&
           std::find(shape.gone.begin(), shape.gone.end(), place_[at(atom)]) != shape.gone.end();
  };
  const auto keeps_electrons = [&](const Atom& atom, const Change& to, int made) {
    int degree = atom.degree + made;
    for (int slot = 0; slot < atom.degree; ++slot) {
      const Bond& bond = atom.bond[at(slot)];
      if (!is_gone(bond.to)) continue;
      if (bond.order != kSingle) return false;
      --degree;
    }
    return to.element == atom.element && to.charge == atom.charge &&
           degree + to.hydrogens == atom.degree + atom.hydrogens;
  };
  for (size_t k = 0; k < shape.kept.size(); ++k) {
    const Atom& atom = molecule.at(match[at(shape.kept[k])]);
    if (changes[k].element != atom.element && has_multiple_bond_to_ring(molecule, atom))
      return false;
    if (atom.rings == 0) continue;
    int made = 0;
    for (const EditShape::NewBond& bond : shape.new_bonds) {
      const auto is_here = [&](const EditShape::End& end) {
        return end.is_kept && at(end.index) == k;
      };
      if (!is_here(bond.a) && !is_here(bond.b)) continue;
      if (bond.order != kSingle) return false;
      ++made;
    }
    if (!keeps_electrons(atom, changes[k], made)) return false;
  }
  const size_t first_far = shape.kept.size() + shape.added.size();
  for (int i = 0; i < fars_; ++i) {
    if (!keeps_electrons(molecule.at(far_[at(i)].atom), changes[first_far + at(i)], 0))
      return false;
  }
  return true;
}

void SiteEditor::learn(const EditShape& shape, const Molecule& molecule, std::span<const int> match,
                       const Molecule* product) {
  if (held_ >= memory_) {
    learned_.clear();
    held_ = Bytes();
  }
  std::vector<Change>& learned = learned_[key_];
  learned.clear();
  held_ = held_ + kSiteCost + Bytes(key_.size());
  if (product == nullptr) return;
  std::vector<Change> changes(shape.kept.size() + shape.added.size() + at(fars_));
  // Which atom of the product each touched one is; what it became, RDKit's says.
  if (!apply(shape, molecule, match, changes, scratch_) || scratch_.atoms != product->atoms) return;
  const bool is_renumbered = cuts_off_ || !shape.deleted.empty();
  const auto read = [&](int index, Change& to) {
    const Atom& atom = product->at(is_renumbered ? number_[at(index)] : index);
    to = {atom.element, atom.hydrogens, atom.given_hydrogens, atom.charge, atom.token};
  };
  size_t next = 0;
  for (const int place : shape.kept) read(match[at(place)], changes[next++]);
  for (size_t k = 0; k < shape.added.size(); ++k) read(added_[k], changes[next++]);
  for (int i = 0; i < fars_; ++i) read(far_[at(i)].atom, changes[next++]);
  if (!apply(shape, molecule, match, changes, scratch_) || !is_same_graph(scratch_, *product) ||
      !is_clean(scratch_) || !leaves_rings(shape, molecule, match, changes))
    return;
  held_ = held_ + Bytes(changes.size() * sizeof(Change));
  learned = std::move(changes);
}

}  // namespace spillway::transform::flat
