// Whether a run has been done before: what it left, looked at without reading it all.
//
// Threads  One. Memory: a footer's, from `account`. Fails: kIo, kCancelled.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "core/memory/budget.hpp"
#include "transform/job/apply.hpp"

namespace spillway::transform {

// What the run of this configuration that wrote options.out counted, when all that it wrote stands there
// as it left it: by the footer and the report, which has the file's checksum. Whether every byte matches
// that is for `verify` to say.
[[nodiscard]] Result<std::optional<Counts>> finished_counts(const Chemistry& chemistry,
                                                            const ApplyOptions& options,
                                                            const std::string& configuration,
                                                            Account account,
                                                            const std::stop_token& stop);

// spillway.checksum of a file of ours.
[[nodiscard]] Result<std::string> seal_of(const std::string& path, Account account);

}  // namespace spillway::transform
