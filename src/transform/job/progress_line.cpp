#include "transform/job/progress_line.hpp"

#include <fmt/format.h>

namespace spillway::transform {

ProgressSnapshot ApplyProgress::snapshot(const LiveCounts& live, unsigned steps) {
  const uint64_t molecules = live.molecules, products = live.products;
  ProgressSnapshot now;
  const char* const phases[] = {"apply", "merge", "write", "finish"};
  const int phase = live.phase;
  now.phase =
      steps > 1 ? fmt::format("step {} {}", live.step.load(), phases[phase]) : phases[phase];
  now.text = fmt::format("{} molecules ({}/s)  {} products ({}/s)", grouped(molecules),
                         rate_text(molecules_rate_.per_second(molecules)), grouped(products),
                         rate_text(products_rate_.per_second(products)));
  const uint64_t merged = live.merged, to_merge = live.to_merge;
  const uint64_t written = live.written, to_write = live.to_write;
  const uint64_t unique = live.unique;
  if (phase > 0) now.text += fmt::format("  {} unique so far", grouped(unique));
  if (phase == 0) now.fraction = live.read;
  if (phase == 1 && to_merge > 0)
    now.fraction = static_cast<double>(merged) / static_cast<double>(to_merge);
  if (phase == 2 && to_write > 0)
    now.fraction = static_cast<double>(written) / static_cast<double>(to_write);
  now.json = fmt::format("\"step\":{},\"molecules\":{},\"products\":{},\"unique\":{}",
                         live.step.load(), molecules, products, unique);
  return now;
}

}  // namespace spillway::transform
