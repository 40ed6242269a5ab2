// The states of a finished search as Parquet: DIR/states/states.parquet, in discovery order.
#pragma once

#include <stop_token>
#include <string>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "expand/engine/search.hpp"
#include "expand/job/expand.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

// Columns: depth uint32, id uint64; with kAll also the problem's own columns, each with a _ behind its
// name for as long as that name is taken. `folder` is created; the file appears whole. A row group waits in `space`.
[[nodiscard]] Result<void> write_states(const Problem& problem, StatesOutput what, Search& search,
                                        const std::string& folder, Budget& budget,
                                        std::shared_ptr<ScratchSpace> space,
                                        const std::stop_token& stop = {});

// What write_states() leases; how wide the rows are does not matter.
Bytes states_cost(const Problem& problem, StatesOutput what);

}  // namespace spillway::expand
