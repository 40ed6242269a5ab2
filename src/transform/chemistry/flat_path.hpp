// Rules on flat molecules (transform/flat), with RDKit as teacher and judge. Internal to the layer; only
// .cpp files that know RDKit include it.
//
// Each fragment of a SMILES is a flat molecule of its own. What is not plain is not read: the caller has
// RDKit do it, with the same result.
//
// Threads  One a thread.
// Memory   `memory` for what is remembered of RDKit; 500 KiB; RDKit's own while it teaches.
// Fails    Never by itself: what RDKit refuses is not flat, and RDKit says why.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "transform/chemistry/edit_plan.hpp"
#include "transform/chemistry/reaction.hpp"
#include "transform/flat/edit.hpp"
#include "transform/flat/molecule.hpp"
#include "transform/flat/parser.hpp"
#include "transform/flat/pattern.hpp"
#include "transform/flat/ranking.hpp"
#include "transform/flat/stereo.hpp"
#include "transform/flat/text.hpp"

namespace spillway::transform {

class FlatPath {
 public:
  static constexpr size_t kMostFragments = 4;

  struct Halogens {
    int32_t f = 0, cl = 0, br = 0, i = 0;
  };
  struct Made {
    std::string_view smiles;  // valid until the next call
    Halogens halogens;
  };

  explicit FlatPath(Bytes memory) : parser_(memory / 2), editor_(memory / 2) {}

  // A rule for all molecules that follow; its number is how many were added before.
  void add_rule(const Reaction& reaction, const std::optional<EditPlan>& plan);

  // False: the molecule is RDKit's.
  [[nodiscard]] bool read(std::string_view smiles);

  // Of the last molecule that was read.
  std::string_view canonical() const { return canonical_; }
  int atoms() const;
  // As all_matches() has them, RDKit's numbers of atoms, one after the other; false: more than `most`.
  [[nodiscard]] bool find_matches(size_t rule, size_t most, std::vector<int>& matches);
  bool can_match(size_t rule) const { return rules_[rule].pattern.has_value(); }

  // An atom's symmetry class; equal ones only within a fragment.
  unsigned symmetry_class(int atom) const;
  // Calls `each(neighbour, order)`.
  template <class Each>
  void for_each_bond(int atom, const Each& each) const {
    const Fragment& fragment = fragment_[fragment_at(atom)];
    const flat::Atom& own = fragment.molecule.at(atom - fragment.first_atom);
    for (int slot = 0; slot < own.degree; ++slot) {
      const flat::Bond& bond = own.bond[static_cast<size_t>(slot)];
      each(bond.to + fragment.first_atom, bond.order);
    }
  }

  // Nothing: the site is RDKit's. `keep_fragments`: those that the match does not touch stay.
  [[nodiscard]] std::optional<Made> make(size_t rule, std::span<const int> match,
                                         bool keep_fragments);

 private:
  struct Fragment {
    std::string text, canonical;
    int first_atom = 0;
    Halogens halogens;
    std::array<uint16_t, flat::kMostAtoms> symmetry{};
    flat::Molecule molecule;
    RDKit::ROMOL_SPTR mol;  // RDKit's, when it was asked
  };
  struct Rule {
    const Reaction* reaction;
    const EditPlan* plan;
    std::optional<flat::EditShape> shape;
    std::optional<flat::Pattern> pattern;
  };

  size_t fragment_at(int atom) const;
  bool read_fragment(Fragment& fragment);
  bool learn_fragment(Fragment& fragment, bool can_be_learned);
  void learn_site(const Rule& rule, Fragment& fragment, std::span<const int> match);
  bool teach_site(const Rule& rule, Fragment& fragment, std::span<const int> match);
  std::string_view joined(const Fragment& changed, std::string_view text);

  flat::Parser parser_;
  flat::SiteEditor editor_;
  flat::Ranking ranking_;
  flat::Stereo stereo_;
  flat::Text text_;
  std::vector<Rule> rules_;
  std::array<Fragment, kMostFragments> fragment_;
  size_t fragments_ = 0;
  std::string canonical_, joined_;
  std::vector<std::string_view> parts_;
  std::vector<int> match_, found_;
  flat::Molecule product_;
};

}  // namespace spillway::transform
