// How many values of which size: a count for each power of two.
//
// Memory   512 bytes. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/job/report.hpp"

namespace spillway::exporter {

class Histogram {
 public:
  enum class Unit { kBytes, kCount };
  explicit Histogram(Unit unit) : unit_(unit) {}
  void add(uint64_t value);
  void join(const Histogram& other);
  uint64_t count() const { return count_; }

  // "below" and `what`, from the first bucket that is not empty to the last.
  ReportTable table(std::string title, std::string what) const;
  // The same as bars: one <svg>. Empty when nothing was added.
  std::string bars() const;

 private:
  std::string limit(size_t bucket) const;
  std::array<size_t, 2> used() const;  // first and one past the last

  Unit unit_;
  std::array<uint64_t, 64> buckets_{};  // [i]: values below 2^i, not below 2^(i-1)
  uint64_t count_ = 0;
};

}  // namespace spillway::exporter
