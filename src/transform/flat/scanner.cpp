#include "transform/flat/scanner.hpp"

#include <algorithm>
#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int element_of(char upper) {
  switch (upper) {
    case 'B':
      return 5;
    case 'C':
      return 6;
    case 'N':
      return 7;
    case 'O':
      return 8;
    case 'F':
      return 9;
    case 'P':
      return 15;
    case 'S':
      return 16;
    case 'I':
      return 53;
    default:
      return 0;
  }
}

int lower_element_of(char lower) {
  switch (lower) {
    case 'b':
    case 'c':
    case 'n':
    case 'o':
    case 'p':
    case 's':
      return element_of(static_cast<char>(lower - 32));
    default:
      return 0;
  }
}

struct TwoLetters {
  char first, second;
  int element;
};
constexpr std::array<TwoLetters, 6> kTwoLetters = {{{'C', 'l', 17},
                                                    {'B', 'r', 35},
                                                    {'S', 'i', 14},
                                                    {'S', 'e', 34},
                                                    {'N', 'a', 11},
                                                    {'L', 'i', 3}}};

int two_letter_element_of(char first, char second) {
  for (const TwoLetters& one : kTwoLetters) {
    if (one.first == first && one.second == second) return one.element;
  }
  return 0;
}

constexpr int kPotassium = 19;

}  // namespace

bool Scanner::read_organic(Place& place, Atom& atom) const {
  const char first = place.peek(), second = place.peek(1);
  int element = 0, letters = 1;
  if ((first == 'C' && second == 'l') || (first == 'B' && second == 'r')) {
    element = two_letter_element_of(first, second);
    letters = 2;
  } else if (element = lower_element_of(first); element != 0) {
    atom.is_lower = 1;
  } else {
    element = element_of(first);
  }
  if (element == 0) return false;
  atom.element = u8(element);
  place.next += letters;
  return true;
}

bool Scanner::read_bracket(Place& place, Atom& atom) const {
  ++place.next;
  const char first = place.peek(), second = place.peek(1);
  int element = two_letter_element_of(first, second), letters = 2;
  if (element == 0 && first == 's' && second == 'e') {
    element = 34;
    atom.is_lower = 1;
  }
  if (element == 0) {
    letters = 1;
    if (second >= 'a' && second <= 'z') return false;
    if (element = lower_element_of(first); element != 0) {
      atom.is_lower = 1;
    } else {
      element = first == 'K' ? kPotassium : element_of(first);
    }
  }
  if (element == 0) return false;
  place.next += letters;
  atom.element = u8(element);
  atom.is_bracket = 1;
  if (place.peek() == '@') {
    constexpr int kCarbon = 6;
    if (element != kCarbon || atom.is_lower != 0) return false;
    ++place.next;
    atom.chirality = kCounter;
    if (place.peek() == '@') {
      ++place.next;
      atom.chirality = kClockwise;
    }
  }
  if (place.peek() == 'H') {
    ++place.next;
    atom.hydrogens = 1;
    if (place.peek() >= '1' && place.peek() <= '4') atom.hydrogens = u8(*place.next++ - '0');
  }
  if (place.peek() == '+' || place.peek() == '-') {
    int charge = 1;
    const bool is_negative = *place.next++ == '-';
    if (place.peek() >= '2' && place.peek() <= '4') charge = *place.next++ - '0';
    atom.charge = static_cast<int8_t>(is_negative ? -charge : charge);
  }
  if (place.peek() != ']') return false;
  ++place.next;
  return true;
}

// RDKit keeps the half of the bond that has an order; of two without, the second, which begins at the later atom.
bool Scanner::read_number(Place& place, int atom, uint8_t order) {
  int number = *place.next++ - '0';
  if (number < 0) {  // %nn
    if (!is_digit(place.peek()) || !is_digit(place.peek(1))) return false;
    number = (place.next[0] - '0') * 10 + place.next[1] - '0';
    place.next += 2;
  }
  int16_t& open = open_closure_[at(number)];
  if (open < 0) {
    if (closures_ == kMostClosures) return false;
    closure_[at(closures_)] = {.begin = u16(atom), .number = u8(number), .order = order};
    open = static_cast<int16_t>(closures_++);
    ++open_;
    mark_[at(marks_++)] = {u16(atom), u16(open), atoms_ != atom + 1};
    return true;
  }
  Closure& closure = closure_[at(open)];
  if (closure.begin == atom || (closure.order != 0 && order != 0 && closure.order != order))
    return false;
  closure.end = u16(atom);
  if (closure.order == 0) {
    std::swap(closure.begin, closure.end);
    closure.order = order;
  }
  closure.is_closed = true;
  mark_[at(marks_++)] = {u16(atom), u16(open), atoms_ != atom + 1};
  open = -1;
  --open_;
  return true;
}

bool Scanner::read_text(std::string_view text) {
  atoms_ = bonds_ = closures_ = marks_ = open_ = 0;
  has_directions_ = has_centres_ = false;
  open_closure_.fill(-1);
  std::array<int, kMostBranches> branch_from{};
  int branches = 0, previous = -1;
  bool after_open = false;
  uint8_t order = 0, direction = kNoDirection;
  for (Place place{text.data(), text.data() + text.size()}; place.next != place.end;) {
    switch (const char c = *place.next) {
      case '(':
        if (previous < 0 || order != 0 || branches == kMostBranches || after_open) return false;
        branch_from[at(branches++)] = previous;
        after_open = true;
        ++place.next;
        continue;
      case ')':
        if (branches == 0 || order != 0 || after_open) return false;
        previous = branch_from[at(--branches)];
        ++place.next;
        continue;
      case '-':
      case '=':
      case '#':
      case ':':
        if (order != 0 || previous < 0) return false;
        order = c == '-' ? 1 : c == '=' ? 2 : c == '#' ? 3 : 4;
        ++place.next;
        continue;
      case '/':
      case '\\':
        if (order != 0 || previous < 0) return false;
        order = 1;
        direction = c == '/' ? kUp : kDown;
        ++place.next;
        continue;
      default:
        break;
    }
    if (is_digit(*place.next) || *place.next == '%') {
      if (previous < 0 || after_open || direction != kNoDirection ||
          !read_number(place, previous, order))
        return false;
      order = 0;
      continue;
    }
    if (atoms_ == kMostAtoms) return false;
    Atom& atom = atom_[at(atoms_)];
    atom = Atom();
    if (*place.next == '[' ? !read_bracket(place, atom) : !read_organic(place, atom)) return false;
    if (previous >= 0) {
      if (direction != kNoDirection && atom.is_lower != 0 && atom_[at(previous)].is_lower != 0)
        return false;
      bond_[at(bonds_++)] = {u16(previous), u16(atoms_), order, direction};
    }
    has_directions_ |= direction != kNoDirection;
    has_centres_ |= atom.chirality != kNotChiral;
    order = 0;
    direction = kNoDirection;
    after_open = false;
    previous = atoms_++;
  }
  return atoms_ > 0 && branches == 0 && open_ == 0 && order == 0 && !after_open &&
         bonds_ == atoms_ - 1;
}

// By number; of one number in the order of the text.
bool Scanner::close_rings() {
  if (bonds_ + closures_ > kMostBonds) return false;
  std::array<uint16_t, kMostClosures> by_number{};
  for (int i = 0; i < closures_; ++i) by_number[at(i)] = u16(i);
  std::sort(by_number.begin(), by_number.begin() + closures_, [this](uint16_t a, uint16_t b) {
    return std::pair(closure_[a].number, a) < std::pair(closure_[b].number, b);
  });
  for (int i = 0; i < closures_; ++i) {
    Closure& closure = closure_[by_number[at(i)]];
    closure.bond = u16(bonds_);
    bond_[at(bonds_++)] = {closure.begin, closure.end, closure.order, kNoDirection, false};
  }
  return true;
}

bool Scanner::list_neighbours() {
  std::fill_n(first_.begin(), atoms_ + 1, uint16_t{0});
  for (int i = 0; i < bonds_; ++i) {
    ++first_[at(bond_[at(i)].begin + 1)];
    ++first_[at(bond_[at(i)].end + 1)];
  }
  for (int i = 0; i < atoms_; ++i) {
    if (first_[at(i + 1)] > kMostDegree) return false;
    first_[at(i + 1)] = u16(first_[at(i + 1)] + first_[at(i)]);
  }
  std::array<uint16_t, kMostAtoms> filled;
  std::copy_n(first_.begin(), atoms_, filled.begin());
  for (int i = 0; i < bonds_; ++i) {
    beside_[filled[bond_[at(i)].begin]++] = u16(i);
    beside_[filled[bond_[at(i)].end]++] = u16(i);
  }
  // No two bonds join the same atoms.
  for (int i = atoms_ - 1; i < bonds_; ++i) {
    const Bond& closed = bond_[at(i)];
    int same = 0;
    for (int k = 0; k < degree(closed.begin); ++k)
      same += other_end(bonds_of(closed.begin)[k], closed.begin) == closed.end ? 1 : 0;
    if (same != 1) return false;
  }
  return true;
}

// The bonds of the text's chains are a tree: what a ring number closes is a ring with the way between its ends.
void Scanner::find_chains() {
  parent_[0] = depth_[0] = 0;
  for (int i = 0; i < atoms_ - 1; ++i) {
    const Bond& bond = bond_[at(i)];
    parent_[bond.end] = bond.begin;
    parent_bond_[bond.end] = u16(i);
    depth_[bond.end] = u16(depth_[bond.begin] + 1);
  }
  for (int i = atoms_ - 1; i < bonds_; ++i) {
    uint16_t a = bond_[at(i)].begin, b = bond_[at(i)].end;
    while (a != b) {
      if (depth_[a] < depth_[b]) std::swap(a, b);
      bond_[parent_bond_[a]].is_chain = false;
      a = parent_[a];
    }
  }
}

void Scanner::find_systems() {
  systems_ = 0;
  for (int i = 0; i < atoms_; ++i) {
    const auto is_ring_bond = [&](uint16_t number) { return !bond_[number].is_chain; };
    if (atom_[at(i)].system != kNoSystem ||
        !std::any_of(bonds_of(i), bonds_of(i) + degree(i), is_ring_bond))
      continue;
    int waiting = 0;
    stack_[at(waiting++)] = u16(i);
    atom_[at(i)].system = u16(systems_);
    while (waiting > 0) {
      const int from = stack_[at(--waiting)];
      for (int k = 0; k < degree(from); ++k) {
        const uint16_t number = bonds_of(from)[k];
        if (!is_ring_bond(number)) continue;
        Atom& next = atom_[at(other_end(number, from))];
        if (next.system != kNoSystem) continue;
        next.system = u16(systems_);
        stack_[at(waiting++)] = u16(other_end(number, from));
      }
    }
    ++systems_;
  }
}

// From the order of the text to that of the bonds. RDKit counts one more exchange for three bonds with the hydrogen
// first, or with none and one ring number.
bool Scanner::settle_centres() {
  for (int i = 0; i < atoms_; ++i) {
    Atom& atom = atom_[at(i)];
    if (atom.chirality == kNotChiral) continue;
    const int count = degree(i);
    if (count < 3) return false;
    std::array<int, kMostDegree> in_text{};
    int listed = 0, numbers = 0;
    bool is_saturated = true;
    for (int k = 0; k < count; ++k) {
      const Bond& bond = bond_[bonds_of(i)[k]];
      is_saturated &= bond.order < 2;
      if (bonds_of(i)[k] < atoms_ - 1 && bond.end == i) in_text[at(listed++)] = bonds_of(i)[k];
    }
    for (int k = 0; k < marks_; ++k) {
      if (mark_[at(k)].atom != i) continue;
      if (mark_[at(k)].is_after_branch) return false;  // RDKit orders them otherwise
      in_text[at(listed++)] = closure_[mark_[at(k)].closure].bond;
      ++numbers;
    }
    for (int k = 0; k < count; ++k) {
      const uint16_t number = bonds_of(i)[k];
      if (number < atoms_ - 1 && bond_[number].begin == i) in_text[at(listed++)] = number;
    }
    bool odd = count == 3 && ((i == 0 && atom.hydrogens == 1) ||
                              (atom.hydrogens != 1 && numbers == 1 && is_saturated));
    for (int k = 0; k < listed; ++k) {
      for (int before = 0; before < k; ++before) odd ^= in_text[at(before)] > in_text[at(k)];
    }
    if (odd) atom.chirality = u8(kClockwise + kCounter - atom.chirality);
  }
  return true;
}

bool Scanner::scan(std::string_view text) {
  if (!read_text(text) || !close_rings() || !list_neighbours()) return false;
  find_chains();
  find_systems();
  return !has_centres_ || settle_centres();
}

}  // namespace spillway::transform::flat
