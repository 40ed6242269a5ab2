// What a run counts, by rule and in total, and the equations that must hold.
//
//   rows_in  = rows_ok + rows_no_site + rows_failed
//   sites    = products + sites_failed{reason}
//   products = unique + duplicates + known
//
// Threads  One; each worker has its own and they are added up.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {

struct RuleTally {
  uint64_t rows = 0;  // molecules with at least one site
  uint64_t sites = 0, products = 0, skipped = 0;
  std::array<uint64_t, kReasonCount> failed{};
  uint64_t unique = 0, duplicates = 0, known = 0;
};

struct Counts {
  // Sites of a molecule: 0, 1, ... 10, then ranges.
  static constexpr std::array<uint64_t, 17> kSiteRanges{0, 1,  2,  3,  4,  5,  6,   7,           8,
                                                        9, 10, 15, 20, 30, 50, 100, ~uint64_t{0}};
  uint64_t rows_in = 0, rows_ok = 0, rows_no_site = 0, rows_failed = 0;
  std::array<uint64_t, kReasonCount> rows_failed_by{};  // those that no rule saw
  std::array<uint64_t, kSiteRanges.size()> sites_histogram{};
  std::vector<RuleTally> rules;  // of the selection

  explicit Counts(size_t rule_count = 0) : rules(rule_count) {}
  void add(const Counts& other);
  void add_molecule(const Applied& applied);
  RuleTally total() const;
  // kInternal, with the numbers, when an equation does not hold.
  [[nodiscard]] Result<void> balance() const;

  std::string to_json() const;  // for the journal: every field
  [[nodiscard]] static Result<Counts> from_json(const std::string& text, size_t rule_count);
};

}  // namespace spillway::transform
