// What an earlier run left in the output folder, and what a run must agree with to be continued.
//
// Fails    kInvalid when the folder holds another finished run, kUsage when the source was changed
//          since; both say what to type. Else as reading does.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "export/job/export.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// options.spec, read and checked.
[[nodiscard]] Result<VolumeSpec> read_spec(const ExportOptions& options,
                                           const std::stop_token& stop = {});

// What the output depends on, as JSON. `mapping_sha`: empty without a mapping.
std::string configuration(const ExportOptions& options, const VolumeSpec& spec, uint64_t batch_rows,
                          const std::string& mapping_sha);

// A finished run of the same configuration: nothing is done again. None when there is none.
[[nodiscard]] Result<std::optional<ExportSummary>> finished(const ExportOptions& options);

}  // namespace spillway::exporter
