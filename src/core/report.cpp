#include "core/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/procstat.hpp"
#include "core/report_page.hpp"

namespace spillway {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxSamples = 2000;

class Sampler final : public Report {
 public:
  Sampler(std::string command, const JobOptions& options, const Budget& budget)
      : options_(options), budget_(budget) {
    data_.command = std::move(command);
    data_.limit = options.memory;
    thread_ = std::jthread([this](std::stop_token stop) { sample_until(stop); });
  }

  void fact(const std::string& key, const std::string& json_value) override {
    std::lock_guard lock(mutex_);
    data_.facts.emplace_back(key, json_value);
  }
  void table(ReportTable table) override {
    std::lock_guard lock(mutex_);
    data_.tables.push_back(std::move(table));
  }
  void series(ReportSeries series) override {
    std::lock_guard lock(mutex_);
    data_.series.push_back(std::move(series));
  }
  void count(uint64_t units_done, Bytes spilled_now) override {
    units_.store(units_done, std::memory_order_relaxed);
    spilled_.store(spilled_now.count(), std::memory_order_relaxed);
  }

  void finish() override {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    wake_.notify_all();
    thread_.join();
    take_sample();
    data_.seconds = seconds();
    data_.accounts = budget_.usage();
    data_.accounted_peak = budget_.peak();
  }

  Bytes peak() const override {
    std::lock_guard lock(mutex_);
    return data_.peak.counted();
  }

  std::string json() const override {
    Json json;
    json["command"] = data_.command;
    json["seconds"] = data_.seconds;
    json["job"] = Json::object();
    for (const auto& [key, value] : data_.facts) json["job"][key] = Json::parse(value);
    json["memory"] = {{"limit", data_.limit.count()},
                      {"limit_source", options_.memory_source},
                      {"peak_anonymous", data_.peak.anonymous.count()},
                      {"peak_shared", data_.peak.shared.count()},
                      {"peak_file", data_.peak.file.count()},
                      {"peak_accounted", data_.accounted_peak.count()},
                      {"peak_unaccounted", data_.peak_unaccounted.count()}};
    json["accounts"] = Json::array();
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
    json["tables"] = Json::array();
    for (const ReportTable& table : data_.tables) {
      json["tables"].push_back(
          {{"title", table.title}, {"columns", table.columns}, {"rows", table.rows}});
    }
    json["ledger"] = Json::array();
    for (const ReportSample& sample : data_.samples) {
      json["ledger"].push_back({{"seconds", sample.seconds},
                                {"anonymous", sample.anonymous},
                                {"accounted", sample.accounted},
                                {"scratch", sample.spilled},
                                {"done", sample.units}});
    }
    return json.dump(1) + "\n";
  }

  std::string html() const override { return report_page(data_); }

 private:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  void sample_until(const std::stop_token& stop) {
    std::unique_lock lock(wake_mutex_);
    do {
      take_sample();
    } while (!wake_.wait_for(lock, every_, [&] { return stop.stop_requested(); }));
  }

  // When the points are full every second one goes, and from then on half as many come.
  void take_sample() {
    const ProcessMemory memory = process_memory();
    const std::vector<AccountUsage> accounts = budget_.usage();
    ReportSample sample;
    sample.seconds = seconds();
    sample.anonymous = memory.counted().count();
    sample.spilled = spilled_.load(std::memory_order_relaxed);
    sample.units = units_.load(std::memory_order_relaxed);
    for (const AccountUsage& account : accounts) {
      sample.accounts.push_back(account.used.count());
      sample.accounted += account.used.count();
    }
    std::lock_guard lock(mutex_);
    data_.peak.anonymous = std::max(data_.peak.anonymous, memory.anonymous);
    data_.peak.file = std::max(data_.peak.file, memory.file);
    data_.peak.shared = std::max(data_.peak.shared, memory.shared);
    if (memory.counted().count() > sample.accounted) {
      data_.peak_unaccounted =
          std::max(data_.peak_unaccounted, Bytes(memory.counted().count() - sample.accounted));
    }
    data_.samples.push_back(std::move(sample));
    if (data_.samples.size() < kMaxSamples) return;
    for (size_t i = 0; i < kMaxSamples / 2; ++i) data_.samples[i] = std::move(data_.samples[2 * i]);
    data_.samples.resize(kMaxSamples / 2);
    every_ *= 2;
  }

  const JobOptions options_;
  const Budget& budget_;
  const Clock::time_point begin_ = Clock::now();
  std::chrono::milliseconds every_{50};
  std::atomic<uint64_t> units_{0}, spilled_{0};
  mutable std::mutex mutex_;
  ReportData data_;
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<Report> Report::start(std::string command, const JobOptions& options,
                                      const Budget& budget) {
  return std::make_unique<Sampler>(std::move(command), options, budget);
}

}  // namespace spillway
