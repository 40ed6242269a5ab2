// What lives for a whole run of an export: its inputs, its plan, the accounts and the mapping. The
// scales (scale_run.hpp) and the output (export_output.hpp) share it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "core/job/runtime.hpp"
#include "export/job/export.hpp"
#include "export/job/export_plan.hpp"
#include "export/job/source.hpp"
#include "export/mapping/mapping.hpp"
#include "export/work/slice_pictures.hpp"
#include "net/address.hpp"

namespace spillway::exporter {

struct ExportRun {
  const ExportOptions& options;
  std::string work_folder;
  VolumeSpec spec;
  std::optional<Source> origin;
  uint32_t first_scale = 0, end_scale = 0;  // those that are written
  uint64_t batch_rows = 1;
  ExportPlan plan;
  std::unique_ptr<JobRuntime> runtime;
  Account read, fetch, work, sort, publish;
  std::array<Account, 2> parts;                // of the parts of even and odd scales
  std::unique_ptr<Mapping> mapping, identity;  // identity: of ids that are mapped already
  std::unique_ptr<SlicePictures> pictures;     // none: not wanted
  std::string config;                          // JSON: what the output depends on
  std::string glance;                          // of the source, before it is read

  // As messages have it: no secrets of an address.
  std::string source_name() const {
    return options.source == "-" ? "stdin" : net::redacted(options.source);
  }
  bool is_arrow() const { return options.to == Target::kArrow; }
  bool wants_page() const { return options.job.report.ends_with(".html"); }
};

}  // namespace spillway::exporter
