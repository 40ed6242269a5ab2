#include "transform/records/counts.hpp"

#include <fmt/format.h>

#include "core/disk/corrupt.hpp"
#include "core/json.hpp"

namespace spillway::transform {
namespace {

void add_to(RuleTally& sum, const RuleTally& tally) {
  sum.rows += tally.rows;
  sum.sites += tally.sites;
  sum.products += tally.products;
  sum.skipped += tally.skipped;
  for (size_t i = 0; i < kReasonCount; ++i) sum.failed[i] += tally.failed[i];
  sum.unique += tally.unique;
  sum.duplicates += tally.duplicates;
  sum.known += tally.known;
}

uint64_t sum_of(const std::array<uint64_t, kReasonCount>& counts) {
  uint64_t sum = 0;
  for (const uint64_t count : counts) sum += count;
  return sum;
}

Result<void> balance_of(const RuleTally& tally, const std::string& what) {
  if (tally.sites != tally.products + sum_of(tally.failed)) {
    return fail(Code::kInternal,
                fmt::format("the counts of {} do not balance: {} sites, {} products, {} failed",
                            what, tally.sites, tally.products, sum_of(tally.failed)));
  }
  if (tally.products != tally.unique + tally.duplicates + tally.known) {
    return fail(
        Code::kInternal,
        fmt::format(
            "the counts of {} do not balance: {} products, {} unique, {} duplicates, {} known",
            what, tally.products, tally.unique, tally.duplicates, tally.known));
  }
  return {};
}

}  // namespace

void Counts::add(const Counts& other) {
  rows_in += other.rows_in;
  rows_ok += other.rows_ok;
  rows_no_site += other.rows_no_site;
  rows_failed += other.rows_failed;
  for (size_t i = 0; i < kReasonCount; ++i) rows_failed_by[i] += other.rows_failed_by[i];
  for (size_t i = 0; i < sites_histogram.size(); ++i)
    sites_histogram[i] += other.sites_histogram[i];
  if (rules.size() < other.rules.size()) rules.resize(other.rules.size());
  for (size_t i = 0; i < other.rules.size(); ++i) add_to(rules[i], other.rules[i]);
}

void Counts::add_molecule(const Applied& applied) {
  ++rows_in;
  switch (applied.row) {
    case Row::kOk:
      ++rows_ok;
      break;
    case Row::kNoSite:
      ++rows_no_site;
      break;
    case Row::kFailed:
      ++rows_failed;
      break;
  }
  if (applied.row_reason) {
    ++rows_failed_by[static_cast<size_t>(*applied.row_reason)];
    return;
  }
  uint64_t sites = 0;
  for (size_t i = 0; i < applied.by_rule.size(); ++i) {
    const RuleCounts& from = applied.by_rule[i];
    if (from.sites == 0) continue;
    RuleTally& to = rules[i];
    ++to.rows;
    to.sites += from.sites;
    to.products += from.products;
    to.skipped += from.skipped;
    for (size_t r = 0; r < kReasonCount; ++r) to.failed[r] += from.failed[r];
    sites += from.sites;
  }
  size_t range = 0;
  while (kSiteRanges[range] < sites) ++range;
  ++sites_histogram[range];
}

RuleTally Counts::total() const {
  RuleTally sum;
  for (const RuleTally& tally : rules) add_to(sum, tally);
  return sum;
}

Result<void> Counts::balance() const {
  if (rows_in != rows_ok + rows_no_site + rows_failed) {
    return fail(Code::kInternal,
                fmt::format("the counts do not balance: {} rows in, {} ok, {} without a site, {} "
                            "failed",
                            rows_in, rows_ok, rows_no_site, rows_failed));
  }
  for (size_t i = 0; i < rules.size(); ++i)
    TRY(balance_of(rules[i], fmt::format("rule {}", i + 1)));
  return balance_of(total(), "all rules");
}

std::string Counts::to_json() const {
  Json json;
  json["rows"] = {rows_in, rows_ok, rows_no_site, rows_failed};
  json["failed"] = rows_failed_by;
  json["sites"] = sites_histogram;
  Json all = Json::array();
  for (size_t i = 0; i < rules.size(); ++i) {
    const RuleTally& tally = rules[i];
    if (tally.sites == 0 && tally.products == 0) continue;
    all.push_back({i, tally.rows, tally.sites, tally.products, tally.skipped, tally.failed,
                   tally.unique, tally.duplicates, tally.known});
  }
  json["rules"] = std::move(all);
  return json.dump();
}

Result<Counts> Counts::from_json(const std::string& text, size_t rule_count) {
  Counts counts(rule_count);
  try {
    const Json json = Json::parse(text);
    const auto rows = json.at("rows").get<std::array<uint64_t, 4>>();
    counts.rows_in = rows[0];
    counts.rows_ok = rows[1];
    counts.rows_no_site = rows[2];
    counts.rows_failed = rows[3];
    counts.rows_failed_by = json.at("failed").get<decltype(counts.rows_failed_by)>();
    counts.sites_histogram = json.at("sites").get<decltype(counts.sites_histogram)>();
    for (const Json& entry : json.at("rules")) {
      RuleTally& tally = counts.rules.at(entry.at(0).get<size_t>());
      tally.rows = entry.at(1);
      tally.sites = entry.at(2);
      tally.products = entry.at(3);
      tally.skipped = entry.at(4);
      tally.failed = entry.at(5).get<decltype(tally.failed)>();
      tally.unique = entry.at(6);
      tally.duplicates = entry.at(7);
      tally.known = entry.at(8);
    }
  } catch (const std::exception& problem) {
    return fail_corrupt(fmt::format("the journal's counts cannot be read: {}", problem.what()));
  }
  return counts;
}

}  // namespace spillway::transform
