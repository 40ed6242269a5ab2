// Draws a report as one HTML page that needs nothing else: styles, figures and pictures (SVG) are
// in it.
//
// Cost     Proportional to the samples (at most 2,000) times the accounts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/job/report.hpp"
#include "core/memory/procstat.hpp"

namespace spillway {

struct ReportSample {
  double seconds = 0;
  uint64_t anonymous = 0;  // RssAnon + RssShmem
  uint64_t accounted = 0;  // leases
  uint64_t spilled = 0;    // bytes on scratch
  uint64_t units = 0;      // done so far
  std::vector<uint64_t> accounts;
};

struct ReportData {
  std::string command;
  Bytes limit;
  double seconds = 0;
  ProcessMemory peak;  // each figure's own peak
  Bytes accounted_peak, peak_unaccounted;
  ProcessCounts most;  // each figure's own peak
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<ReportTable> tables;
  std::vector<ReportPicture> pictures;
  std::vector<ReportSeries> series;
  std::vector<AccountUsage> accounts;
  std::vector<ReportSample> samples;
};

std::string report_page(const ReportData& data);

}  // namespace spillway
