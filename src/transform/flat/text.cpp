#include "transform/flat/text.hpp"

#include <algorithm>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

// RDKit counts one more exchange for a centre of three bonds whose hydrogen stands first, or that has none and
// closes one ring.
bool is_exchanged(const Molecule& molecule, const Traversal& traversal, int index) {
  const Atom& atom = molecule.at(index);
  if (atom.degree != 3) return false;
  if (index == traversal.first() && atom.given_hydrogens >> 1 == 1) return true;
  if (atom.hydrogens == 1 || traversal.closures(index).count != 1) return false;
  const auto is_single = [](const Bond& bond) { return bond.order == kSingle; };
  return std::all_of(atom.bond.begin(), atom.bond.begin() + atom.degree, is_single);
}

}  // namespace

std::optional<Token> token_of(const Atom& atom, std::string_view symbol, bool bracket) {
  Token token;
  bool fits = true;
  const auto add = [&](char c) {
    if (token.size == Token::kMost) {
      fits = false;
    } else {
      token.text[token.size++] = c;
    }
  };
  if (bracket) add('[');
  for (const char c : symbol)
    add(atom.aromatic != 0 && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  if (bracket) {
    if (atom.chirality != kNotChiral) {
      add('@');
      add('@');
    }
    if (atom.hydrogens != 0) add('H');
    if (atom.hydrogens > 1) add(static_cast<char>('0' + atom.hydrogens));
    const int charge = atom.charge < 0 ? -atom.charge : atom.charge;
    if (charge > 9 || atom.hydrogens > 9) fits = false;
    if (charge != 0) add(atom.charge < 0 ? '-' : '+');
    if (charge > 1) add(static_cast<char>('0' + charge));
    add(']');
  }
  if (!fits) return std::nullopt;
  return token;
}

// Of a centre: the token has `@@` for the order in which the text lists its neighbours.
Token Text::token_of(int index) const {
  const Atom& atom = molecule_->at(index);
  std::array<int, kMostDegree> slots{};
  int count = 0;
  const Traversal::Slots& closures = traversal_.closures(index);
  const Traversal::Slots& children = traversal_.children(index);
  for (int slot = 0; slot < atom.degree; ++slot) {
    if (!closures.has(slot) && !children.has(slot))
      slots[at(count++)] = slot;  // where the text came from
  }
  for (int i = 0; i < closures.count; ++i) slots[at(count++)] = closures.slot[at(i)];
  for (int i = 0; i < children.count; ++i) slots[at(count++)] = children.slot[at(i)];
  bool odd = is_exchanged(*molecule_, traversal_, index);
  for (int i = 0; i < count; ++i) {
    for (int before = 0; before < i; ++before) odd ^= slots[at(before)] > slots[at(i)];
  }
  Token token = atom.token;
  if ((atom.chirality == kClockwise) != odd) return token;
  // One @ less.
  auto* const end = token.text.begin() + token.size;
  auto* const mark = std::find(token.text.begin(), end, '@');
  std::copy(mark + 1, end, mark);
  --token.size;
  return token;
}

void Text::append_number(int number) {
  if (number > 9) {
    *end_++ = '%';
    *end_++ = static_cast<char>('0' + number / 10);
  }
  *end_++ = static_cast<char>('0' + number % 10);
}

bool Text::write_atom(int index) {
  const Atom& atom = molecule_->at(index);
  append(atom.chirality == kNotChiral ? atom.token : token_of(index));
  const Traversal::Slots& closures = traversal_.closures(index);
  for (int i = 0; i < closures.count; ++i) {
    const Bond& bond = atom.bond[closures.slot[at(i)]];
    int number = number_[at(index)][closures.slot[at(i)]];
    if (number != 0) {
      if (bond.symbol != 0) *end_++ = bond.symbol;
      numbers_.free_after(number);
    } else {
      number = numbers_.take();
      if (number == 0) return false;
      number_[bond.to][at(molecule_->at(bond.to).slot_of(index))] = u8(number);
    }
    append_number(number);
  }
  numbers_.next_atom();
  const Traversal::Slots& children = traversal_.children(index);
  for (int i = 0; i < children.count; ++i) {
    const Bond& bond = atom.bond[children.slot[at(i)]];
    const bool is_branch = i + 1 < children.count;
    if (is_branch) *end_++ = '(';
    if (bond.symbol != 0) *end_++ = bond.symbol;
    if (!write_atom(bond.to)) return false;
    if (is_branch) *end_++ = ')';
  }
  return true;
}

void Text::append_items() {
  for (int i = 0; i < directions_.size(); ++i) {
    const Directions::Item& item = directions_.item(i);
    switch (item.kind) {
      case Directions::Item::kAtom:
        append(molecule_->at(item.atom).chirality == kNotChiral ? molecule_->at(item.atom).token
                                                                : token_of(item.atom));
        break;
      case Directions::Item::kBond: {
        const Bond& bond = molecule_->bond(item.atom, item.slot);
        const uint8_t direction = directions_.direction(bond.number);
        if (direction != kNoDirection) {
          *end_++ = direction == kDown ? '\\' : '/';
        } else if (bond.symbol != 0) {
          *end_++ = bond.symbol;
        }
        break;
      }
      case Directions::Item::kNumber:
        append_number(item.atom);
        break;
      case Directions::Item::kOpen:
        *end_++ = '(';
        break;
      case Directions::Item::kClose:
        *end_++ = ')';
        break;
    }
  }
}

std::optional<std::string_view> Text::write(const Molecule& molecule, const Ranking& ranking) {
  molecule_ = &molecule;
  traversal_.go(molecule, ranking);
  end_ = text_.data();
  if (molecule.double_bonds != 0) {
    if (!directions_.resolve(molecule, traversal_)) return std::nullopt;
    append_items();
  } else {
    numbers_ = RingNumbers();
    std::fill_n(number_.begin(), molecule.atoms, std::array<uint8_t, kMostDegree>{});
    if (!write_atom(traversal_.first())) return std::nullopt;
  }
  return std::string_view(text_.data(), static_cast<size_t>(end_ - text_.data()));
}

}  // namespace spillway::transform::flat
