#include "transform/flat/traversal.hpp"

#include <algorithm>
#include <bit>

namespace spillway::transform::flat {
namespace {

constexpr int64_t kMostBondsOfRdkit = 5000;  // what it spaces its priorities with
constexpr int kMaxBondType = 32;

// RDKit numbers single, double, triple and aromatic bonds 1, 2, 3 and 12.
int64_t weight(uint8_t order) { return kMaxBondType - (order == kAromatic ? 12 : order + 1); }

}  // namespace

int RingNumbers::take() {
  const int number = std::countr_one(used_);
  if (number > kMost) return 0;
  used_ |= uint64_t{1} << number;
  return number;
}

void Traversal::go(const Molecule& molecule, const Ranking& ranking) {
  molecule_ = &molecule;
  ranking_ = &ranking;
  first_ = ranking.first();
  std::fill_n(state_.begin(), molecule.atoms, kNew);
  std::fill_n(children_.begin(), molecule.atoms, Slots{});
  std::fill_n(closures_.begin(), molecule.atoms, Slots{});
  visit(first_, -1);
}

// As deep as the molecule has atoms.
void Traversal::visit(int atom, int from) {
  auto& states = state_;
  const auto state = [&](int of) -> uint8_t& { return states[static_cast<size_t>(of)]; };
  state(atom) = kOpen;
  const Atom& own = molecule_->at(atom);
  std::array<int64_t, kMostDegree> key{};
  int count = 0;
  for (int slot = 0; slot < own.degree; ++slot) {
    const Bond& bond = own.bond[static_cast<size_t>(slot)];
    if (bond.to == from) continue;
    int64_t priority = ranking_->index(bond.to);
    if (state(bond.to) == kOpen) {
      priority += weight(bond.order) * kMostBondsOfRdkit -
                  (kMaxBondType + 1) * kMostBondsOfRdkit * kMostBondsOfRdkit;
    } else if (bond.rings != 0) {
      priority += weight(bond.order) * kMostBondsOfRdkit * kMostBondsOfRdkit;
    }
    const int64_t value = priority << 2 | slot;  // ranks differ: the slot decides nothing
    int place = count++;
    for (; place > 0 && key[static_cast<size_t>(place - 1)] > value; --place)
      key[static_cast<size_t>(place)] = key[static_cast<size_t>(place - 1)];
    key[static_cast<size_t>(place)] = value;
  }
  for (int i = 0; i < count; ++i) {
    const int slot = static_cast<int>(key[static_cast<size_t>(i)] & 3);
    const int next = own.bond[static_cast<size_t>(slot)].to;
    if (state(next) == kNew) {
      children_[static_cast<size_t>(atom)].add(slot);
      visit(next, atom);
    } else if (state(next) == kOpen) {
      closures_[static_cast<size_t>(next)].add(molecule_->at(next).slot_of(atom));
      closures_[static_cast<size_t>(atom)].add(slot);
    }
  }
  state(atom) = kDone;
}

}  // namespace spillway::transform::flat
