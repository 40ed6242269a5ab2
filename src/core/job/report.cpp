#include "core/job/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "core/job/report_page.hpp"
#include "core/json.hpp"
#include "core/mutex.hpp"
#include "core/ticker.hpp"

namespace spillway {
namespace {

constexpr size_t kMaxSamples = 2000;

class Sampler final : public Report {
 public:
  Sampler(std::string command, const JobOptions& options, const Budget& budget, Sources sources)
      : options_(options),
        budget_(budget),
        sources_(std::move(sources)),
        begin_(sources_.clock->now()),
        every_(sources_.every) {
    {
      MutexLock lock(mutex_);
      data_.command = std::move(command);
      data_.limit = options.memory;
    }
    sample();
    ticker_.emplace([this] { return every(); }, [this] { sample(); });
  }

  void fact(const std::string& key, const std::string& json_value) override {
    MutexLock lock(mutex_);
    data_.facts.emplace_back(key, json_value);
  }
  void picture(ReportPicture picture) override {
    MutexLock lock(mutex_);
    data_.pictures.push_back(std::move(picture));
  }
  void table(ReportTable table) override {
    MutexLock lock(mutex_);
    data_.tables.push_back(std::move(table));
  }
  void series(ReportSeries series) override {
    MutexLock lock(mutex_);
    data_.series.push_back(std::move(series));
  }
  void count(uint64_t units_done, Bytes spilled_now) override {
    units_.store(units_done, std::memory_order_relaxed);
    spilled_.store(spilled_now.count(), std::memory_order_relaxed);
  }

  // When the points are full every second one goes, and from then on half as many come.
  void sample() override {
    const ProcessMemory memory = sources_.memory();
    const ProcessCounts counts = process_counts();
    const std::vector<AccountUsage> accounts = budget_.usage();
    ReportSample point;
    point.seconds = seconds();
    point.anonymous = memory.counted().count();
    point.spilled = spilled_.load(std::memory_order_relaxed);
    point.units = units_.load(std::memory_order_relaxed);
    for (const AccountUsage& account : accounts) {
      point.accounts.push_back(account.used.count());
      point.accounted += account.used.count();
    }
    MutexLock lock(mutex_);
    data_.peak.anonymous = std::max(data_.peak.anonymous, memory.anonymous);
    data_.peak.file = std::max(data_.peak.file, memory.file);
    data_.peak.shared = std::max(data_.peak.shared, memory.shared);
    data_.most.descriptors = std::max(data_.most.descriptors, counts.descriptors);
    data_.most.threads = std::max(data_.most.threads, counts.threads);
    if (memory.counted().count() > point.accounted) {
      data_.peak_unaccounted =
          std::max(data_.peak_unaccounted, Bytes(memory.counted().count() - point.accounted));
    }
    data_.samples.push_back(std::move(point));
    if (data_.samples.size() < kMaxSamples) return;
    for (size_t i = 0; i < kMaxSamples / 2; ++i) data_.samples[i] = std::move(data_.samples[2 * i]);
    data_.samples.resize(kMaxSamples / 2);
    every_ *= 2;
  }

  void finish() override {
    if (!ticker_) return;
    ticker_.reset();
    sample();
    std::vector<AccountUsage> accounts = budget_.usage();
    const Bytes peak = budget_.peak();
    const double spent = seconds();
    MutexLock lock(mutex_);
    data_.seconds = spent;
    data_.accounts = std::move(accounts);
    data_.accounted_peak = peak;
  }

  Bytes peak() const override {
    MutexLock lock(mutex_);
    return data_.peak.counted();
  }

  std::string json() const override {
    MutexLock lock(mutex_);
    OrderedJson json;
    json["program"] = "spillway " SPILLWAY_VERSION;
    json["command"] = data_.command;
    json["seconds"] = data_.seconds;
    json["job"] = OrderedJson::object();
    for (const auto& [key, value] : data_.facts) {
      OrderedJson parsed = OrderedJson::parse(value, nullptr, false);
      json["job"][key] = parsed.is_discarded() ? OrderedJson(value) : std::move(parsed);
    }
    json["memory"] = {{"limit", data_.limit.count()},
                      {"limit_source", options_.memory_source},
                      {"peak_anonymous", data_.peak.anonymous.count()},
                      {"peak_shared", data_.peak.shared.count()},
                      {"peak_file", data_.peak.file.count()},
                      {"peak_accounted", data_.accounted_peak.count()},
                      {"peak_unaccounted", data_.peak_unaccounted.count()}};
    json["accounts"] = OrderedJson::array();
    for (const AccountUsage& account : data_.accounts) {
      json["accounts"].push_back({{"name", account.name},
                                  {"rank", account.rank},
                                  {"floor", account.floor.count()},
                                  {"ceiling", account.ceiling.count()},
                                  {"peak", account.peak.count()},
                                  {"waits", account.waits},
                                  {"waited_seconds", account.waited_seconds},
                                  {"refusals", account.refusals}});
    }
    json["machine"] = {{"threads", options_.threads},
                       {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)}};
    json["process"] = {{"peak_descriptors", data_.most.descriptors},
                       {"peak_threads", data_.most.threads}};
    json["tables"] = OrderedJson::array();
    for (const ReportTable& table : data_.tables) {
      json["tables"].push_back(
          {{"title", table.title}, {"columns", table.columns}, {"rows", table.rows}});
    }
    json["ledger"] = OrderedJson::array();
    for (const ReportSample& sample : data_.samples) {
      json["ledger"].push_back({{"seconds", sample.seconds},
                                {"anonymous", sample.anonymous},
                                {"accounted", sample.accounted},
                                {"scratch", sample.spilled},
                                {"done", sample.units}});
    }
    // A name may hold bytes that are not UTF-8.
    return json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  }

  std::string html() const override {
    MutexLock lock(mutex_);
    return report_page(data_);
  }

 private:
  double seconds() const { return seconds_between(begin_, sources_.clock->now()); }
  std::chrono::milliseconds every() const {
    MutexLock lock(mutex_);
    return every_;
  }

  const JobOptions options_;
  const Budget& budget_;
  const Sources sources_;
  const Clock::Time begin_;
  std::atomic<uint64_t> units_{0}, spilled_{0};
  mutable Mutex mutex_;
  std::chrono::milliseconds every_ GUARDED_BY(mutex_);
  ReportData data_ GUARDED_BY(mutex_);
  std::optional<Ticker> ticker_;
};

}  // namespace

std::unique_ptr<Report> Report::start(std::string command, const JobOptions& options,
                                      const Budget& budget, Sources sources) {
  return std::make_unique<Sampler>(std::move(command), options, budget, std::move(sources));
}

}  // namespace spillway
