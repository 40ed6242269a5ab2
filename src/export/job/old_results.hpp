// Takes away what an earlier export left in an output folder, when it is begun anew: shards that the
// new run does not write would stay beside its own.
//
// Removes files that are named like results, and nothing else: manifest.json first, so that a folder
// whose shards are gone is never taken for a finished one; then info, spec.json, rejects.csv,
// report.json; then <x>_<y>_<z>.arrow and .csv, <hex>.shard and <x0>-<x1>_<y0>-<y1>_<z0>-<z1> in the
// folders inside.
// Threads  One. Fails: kIo.
#pragma once

#include <string>

#include "core/result.hpp"

namespace spillway::exporter {

[[nodiscard]] Result<void> remove_old_results(const std::string& out);
bool is_result_name(const std::string& name);  // of a file in a folder of the output

}  // namespace spillway::exporter
