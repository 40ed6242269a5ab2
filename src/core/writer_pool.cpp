#include "core/writer_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace spillway {
namespace {
constexpr Bytes kEntryBytes{192};  // a map node, a list node, the leases
}

WriterPool::Plan WriterPool::plan(uint64_t outputs, bool appendable, Bytes memory,
                                  const Options& options) {
  const uint64_t by_memory =
      options.open_cost > Bytes(0) ? memory / (options.open_cost + kEntryBytes) : outputs;
  if (outputs <= std::min<uint64_t>(options.most_open, by_memory)) return Plan::kAllOpen;
  return appendable ? Plan::kPark : Plan::kPartitionFirst;
}

Result<std::unique_ptr<WriterPool>> WriterPool::create(Options options, Account account,
                                                       Make make) {
  CHECK(options.most_open > 0);
  std::unique_ptr<WriterPool> pool(new WriterPool);
  auto spare = account.try_acquire(options.open_cost);
  if (!spare) {
    return fail(Code::kMemoryLimit, fmt::format("one open output needs {}; raise --memory",
                                                to_string(options.open_cost)));
  }
  pool->spare_ = std::move(*spare);
  pool->options_ = options;
  pool->account_ = std::move(account);
  pool->make_ = std::move(make);
  return pool;
}

Result<void> WriterPool::park_oldest() {
  Entry& entry = outputs_.at(recent_.back());
  TRY(entry.output->park());
  recent_.pop_back();
  entry.is_open = false;
  spare_ = std::move(entry.open);  // frees the spare there was, keeps this
  ++parked_;
  return {};
}

// A lease for one more open output, parking as many as that takes.
Result<void> WriterPool::make_room(Lease& lease) {
  while (recent_.size() >= options_.most_open) TRY(park_oldest());
  if (spare_.bytes() == options_.open_cost) {
    lease = std::move(spare_);
    return {};
  }
  auto more = account_.try_acquire(options_.open_cost);
  if (!more) {
    TRY(park_oldest());
    more = std::move(spare_);
  }
  lease = std::move(*more);
  return {};
}

Result<WriterPool::Entry*> WriterPool::opened(uint64_t output) {
  const auto found = outputs_.find(output);
  if (found != outputs_.end() && found->second.is_open) {
    recent_.splice(recent_.begin(), recent_, found->second.place);
    return &found->second;
  }
  Lease open;
  TRY(make_room(open));
  Entry* entry = nullptr;
  if (found == outputs_.end()) {
    auto parked = account_.try_acquire(options_.parked_cost + kEntryBytes);
    while (!parked && !recent_.empty()) {
      TRY(park_oldest());
      spare_.release();
      parked = account_.try_acquire(options_.parked_cost + kEntryBytes);
    }
    if (!parked) {
      return fail(
          Code::kMemoryLimit,
          fmt::format("no memory for one more than {} outputs; raise --memory", outputs_.size()));
    }
    auto made = TRY(make_(output));
    entry = &outputs_[output];
    entry->output = std::move(made);
    entry->parked = std::move(*parked);
  } else {
    entry = &found->second;
    TRY(entry->output->reopen());
  }
  entry->open = std::move(open);
  entry->is_open = true;
  recent_.push_front(output);
  entry->place = recent_.begin();
  return entry;
}

Result<PooledOutput*> WriterPool::open(uint64_t output) {
  return TRY(opened(output))->output.get();
}

Result<void> WriterPool::finish(uint64_t output) {
  Entry* const entry = TRY(opened(output));
  TRY(entry->output->finish());
  recent_.erase(entry->place);
  spare_ = std::move(entry->open);
  outputs_.erase(output);
  return {};
}

Result<void> WriterPool::finish_all() {
  std::vector<uint64_t> order;  // 8 bytes an output, within kEntryBytes
  order.reserve(outputs_.size());
  for (const auto& [output, entry] : outputs_) order.push_back(output);
  std::sort(order.begin(), order.end());
  for (const uint64_t output : order) TRY(finish(output));
  return {};
}

}  // namespace spillway
