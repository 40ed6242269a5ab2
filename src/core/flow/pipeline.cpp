#include "core/flow/pipeline.hpp"

#include <fmt/format.h>

#include <chrono>
#include <system_error>
#include <thread>

#include "core/flow/parallel.hpp"

namespace spillway {

double Pipeline::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Pipeline::Stage& Pipeline::add(std::string name, unsigned threads) {
  CHECK(threads > 0);
  stages_.push_back(std::make_unique<Stage>());
  Stage& stage = *stages_.back();
  stage.name = name;
  stage.threads = threads;
  stage.figures.name = std::move(name);
  return stage;
}

void Pipeline::stop_with(Error error) {
  {
    MutexLock lock(error_mutex_);
    if (!error_) error_ = std::move(error);
  }
  stop_.request_stop();
}

void Pipeline::run_thread(Stage& stage) {
  try {
    if (auto result = stage.thread(); !result) stop_with(std::move(result).error());
  } catch (const std::bad_alloc&) {
    stop_with(Error(Code::kInternal,
                    fmt::format("stage {} ran out of memory beside its leases: its estimate of a "
                                "unit's peak is wrong",
                                stage.name)));
  } catch (const std::exception& exception) {
    stop_with(Error(Code::kInternal, fmt::format("stage {}: {}", stage.name, exception.what())));
  }
  if (stage.running.fetch_sub(1) == 1 && stage.finish) stage.finish();
}

Result<void> Pipeline::run() {
  const std::stop_callback outer(outer_, [this] { stop_.request_stop(); });
  const std::stop_callback turns(stop_.get_token(), [this] {
    for (const auto& stage : stages_) stage->turn.fail();
  });
  {
    std::vector<std::jthread> threads;
    for (const auto& stage : stages_) stage->running = stage->threads;
    try {
      for (const auto& stage : stages_) {
        for (unsigned i = 0; i < stage->threads; ++i)
          threads.emplace_back([this, &stage = *stage] { run_thread(stage); });
      }
    } catch (const std::system_error& refused) {  // a stage without threads would be waited for
      stop_with(thread_refused(refused));
    }
  }
  for (const auto& stage : stages_) {
    if (stage->abandon) stage->abandon();
  }
  MutexLock lock(error_mutex_);
  if (error_) return fail(std::move(*error_));
  if (outer_.stop_requested()) return fail(Code::kCancelled, "stopped");
  return {};
}

std::vector<StageFigures> Pipeline::figures() const {
  std::vector<StageFigures> list;
  for (const auto& stage : stages_) list.push_back(stage->figures);
  return list;
}

}  // namespace spillway
