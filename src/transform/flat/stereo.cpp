#include "transform/flat/stereo.hpp"

#include <algorithm>
#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

constexpr int kPhosphorus = 15;

// How often a neighbour counts; RDKit counts twice what a bond's order is.
int times_counted(const Bond& bond, const Atom& neighbour) {
  switch (bond.order) {
    case kSingle:
      return 2;
    case kDouble:
      return neighbour.element == kPhosphorus && (neighbour.degree == 3 || neighbour.degree == 4)
                 ? 1
                 : 4;
    case kTriple:
      return 6;
    default:
      return 3;
  }
}

int sign(int a, int b) { return a < b ? -1 : a > b ? 1 : 0; }

int compare_entries(const int16_t* a, int a_size, const int16_t* b, int b_size) {
  const int both = std::min(a_size, b_size);
  for (int i = 0; i < both; ++i) {
    if (a[i] != b[i]) return sign(a[i], b[i]);
  }
  return sign(a_size, b_size);
}

}  // namespace

// Dense, by element.
void Stereo::start() {
  std::array<int, 256> rank_of{};
  for (int i = 0; i < molecule_->atoms; ++i) rank_of[molecule_->at(i).element] = 1;
  ranks_ = 0;
  for (int& rank : rank_of) {
    if (rank != 0) rank = ranks_++;
  }
  for (int i = 0; i < molecule_->atoms; ++i) rank_[at(i)] = rank_of[molecule_->at(i).element];
  is_started_ = true;
}

// The neighbours' ranks, falling, each as often as its bond says, then the hydrogens.
int Stereo::entry(int index, Entry& entry) const {
  const Atom& atom = molecule_->at(index);
  std::array<std::pair<int, int>, kMostDegree> found{};
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    const std::pair own(rank_[bond.to] + 1, times_counted(bond, molecule_->at(bond.to)));
    int place = slot;
    for (; place > 0 && found[at(place - 1)].first < own.first; --place)
      found[at(place)] = found[at(place - 1)];
    found[at(place)] = own;
  }
  int size = 0;
  for (int slot = 0; slot < atom.degree; ++slot) {
    for (int times = found[at(slot)].second; times > 0; --times)
      entry[at(size++)] = static_cast<int16_t>(found[at(slot)].first);
  }
  for (int i = 0; i < atom.hydrogens; ++i) entry[at(size++)] = 0;
  return size;
}

bool Stereo::is_over() const {
  const int n = molecule_->atoms;
  return ranks_ >= n || rounds_ >= n / 2 + 1 || (ranks_before_ >= 0 && ranks_before_ >= ranks_);
}

int Stereo::compare_now(int a, int b) const {
  if (rank_[at(a)] != rank_[at(b)]) return sign(rank_[at(a)], rank_[at(b)]);
  return compare_entries(entry_[at(a)].data(), length_[at(a)], entry_[at(b)].data(),
                         length_[at(b)]);
}

void Stereo::next_round() {
  const int n = molecule_->atoms;
  for (int i = 0; i < n; ++i) {
    length_[at(i)] = entry(i, entry_[at(i)]);
    order_[at(i)] = i;
  }
  std::sort(order_.begin(), order_.begin() + n,
            [this](int a, int b) { return compare_now(a, b) < 0; });
  std::array<int, kMostAtoms> fresh;
  int rank = 0;
  fresh[at(order_[0])] = 0;
  for (int i = 1; i < n; ++i) {
    if (compare_now(order_[at(i - 1)], order_[at(i)]) != 0) ++rank;
    fresh[at(order_[at(i)])] = rank;
  }
  std::copy_n(fresh.begin(), n, rank_.begin());
  ranks_before_ = std::exchange(ranks_, rank + 1);
  ++rounds_;
}

// 0: RDKit ranks them equal.
int Stereo::compare(int a, int b) {
  const Atom& one = molecule_->at(a);
  const Atom& other = molecule_->at(b);
  if (one.element != other.element) return sign(one.element, other.element);
  if (!is_started_) start();
  if (rounds_ == 0 && molecule_->atoms > 2) {  // the first round, for these two only
    Entry x, y;
    const int x_size = entry(a, x), y_size = entry(b, y);
    if (const int found = compare_entries(x.data(), x_size, y.data(), y_size); found != 0)
      return found;
  }
  while (rank_[at(a)] == rank_[at(b)]) {
    if (is_over()) return 0;
    next_round();
  }
  return sign(rank_[at(a)], rank_[at(b)]);
}

bool Stereo::set_control(DoubleBond::End& end, int& control) {
  control = 0;
  if (end.others == 2) {
    const int found = compare(end.other[0], end.other[1]);
    if (found == 0) return false;
    control = found > 0 ? 0 : 1;
  }
  end.control = end.other[at(control)];
  return true;
}

bool Stereo::assign(Molecule& molecule) {
  if (molecule.double_bonds == 0 && molecule.centres == 0) return true;
  molecule_ = &molecule;
  is_started_ = false;
  rounds_ = ranks_ = 0;
  ranks_before_ = -1;
  for (int i = 0; molecule.centres != 0 && i < molecule.atoms; ++i) {
    const Atom& atom = molecule.at(i);
    if (atom.chirality == kNotChiral) continue;
    for (int slot = 1; slot < atom.degree; ++slot) {
      for (int before = 0; before < slot; ++before) {
        if (compare(atom.bond[at(slot)].to, atom.bond[at(before)].to) == 0) return false;
      }
    }
  }
  for (int k = 0; k < molecule.double_bonds; ++k) {
    DoubleBond& bond = molecule.double_bond[at(k)];
    int first = 0, second = 0;
    if (!set_control(bond.end[0], first) || !set_control(bond.end[1], second)) return false;
    bond.geometry = bond.end[0].direction[at(first)] == bond.end[1].direction[at(second)] ? kZ : kE;
    for (size_t i = 0; i < 2; ++i) {
      Atom& atom = molecule.at(bond.end[i].atom);
      atom.bond[at(atom.slot_of(bond.end[1 - i].atom))].geometry = bond.geometry;
    }
  }
  return true;
}

}  // namespace spillway::transform::flat
