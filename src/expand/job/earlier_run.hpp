// What an earlier run left in the output folder: a finished result, or a checkpoint to go on from.
//
// Fails    kInvalid when it is another run's, kCorrupt when it is damaged; both say what to type.
#pragma once

#include <optional>
#include <string>

#include "core/disk/work_folder.hpp"
#include "expand/job/expand.hpp"

namespace spillway::expand {

// What a checkpoint must agree with to be continued, as JSON.
std::string configuration(const Problem& problem, const ExpandOptions& options);

// What report.json says of the run that left `out`, when it is a finished run of the same
// configuration; nothing when there is none. (With a checkpoint beside it the run was killed before
// it tidied up.)
[[nodiscard]] Result<std::optional<ExpandSummary>> finished(const std::string& out,
                                                            const std::string& configured);

// What the search had saved ("null": nothing done yet, "": no checkpoint).
[[nodiscard]] Result<std::string> read_checkpoint(const WorkFolder& work,
                                                  const std::string& configured,
                                                  const std::string& out);

// How states are stored, which widen() changes.
std::string packing_of(const Problem& problem);

// Widens the problem as far as the run whose checkpoint is in `work` had.
[[nodiscard]] Result<void> widen_like_checkpoint(Problem& problem, const WorkFolder& work);

}  // namespace spillway::expand
