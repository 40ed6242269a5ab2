#include "core/job/runtime.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/file/output.hpp"
#include "core/json.hpp"

namespace spillway {
namespace {

Mutex running_mutex;
JobRuntime* running GUARDED_BY(running_mutex) = nullptr;  // one a process

std::string json_text(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_full(const Error& error) {
  return error.code() == Code::kScratchFull || error.code() == Code::kDiskFull;
}

}  // namespace

Result<std::unique_ptr<JobRuntime>> JobRuntime::start(Options options) {
  std::unique_ptr<JobRuntime> runtime(new JobRuntime(std::move(options)));
  const Options& given = runtime->options_;
  runtime->budget_ = Budget::create(given.job.memory - given.plan.reserve());
  runtime->space_ = TRY(ScratchSpace::create(
      {.folder = given.job.scratch.empty() ? given.scratch_folder : given.job.scratch,
       .limit = given.job.scratch_limit.value_or(Bytes(0))}));
  runtime->standing_report_ = TRY(StandingFile::look(given.job.report));
  runtime->report_ = Report::start(given.command, given.job, *runtime->budget_);
  runtime->forward_.emplace(given.stop, [self = runtime.get()] { self->ending_.request_stop(); });
  MutexLock lock(running_mutex);
  running = runtime.get();
  return runtime;
}

JobRuntime::~JobRuntime() {
  MutexLock lock(running_mutex);
  running = nullptr;
}

void JobRuntime::note(const std::string& line) {
  MutexLock lock(mutex_);
  if (progress_) progress_->note(line);
}

Result<void> JobRuntime::run(const Body& body) {
  {
    MutexLock lock(mutex_);
    body_ = &body;
    progress_ = Progress::start(options_.job.progress, options_.job.memory, body.snapshot);
  }
  auto governor = std::make_unique<Governor>(
      *budget_,
      Governor::Options{.limit = options_.job.memory,
                        .reserve = options_.plan.reserve(),
                        .exceeded =
                            [this](Error error) {
                              {
                                MutexLock lock(mutex_);
                                exceeded_.emplace(std::move(error));
                              }
                              ending_.request_stop();
                            },
                        .on_pressure = [this](Pressure level, Bytes held) { tell(level, held); }});
  governor_ = governor.get();
  auto done = body.work();
  pressed_ = governor->pressure_counts();
  governor_ = nullptr;
  governor.reset();
  std::unique_ptr<Progress> progress;
  {
    MutexLock lock(mutex_);
    progress = std::move(progress_);
    body_ = nullptr;
    if (!done && exceeded_) done = fail(std::move(*exceeded_));
  }
  progress.reset();
  if (done) return done;
  Error error = explained(std::move(done).error(), body);
  if (!reported_ && error.code() != Code::kOverflow) {
    report_->finish();
    describe_pressure();
    report_->fact("ended", error.code() == Code::kCancelled ? "\"interrupted\"" : "\"failed\"");
    report_->fact("error", json_text(error.message()));
    report_->fact("error_code", json_text(name(error.code())));
    body.describe(*report_);
    const auto ignored =
        write_reports(body.can_resume());  // the error that ended the run is the one to tell
    (void)ignored;
  }
  return fail(std::move(error));
}

// A note where memory is short, and when it no longer is.
void JobRuntime::tell(Pressure level, Bytes held) {
  const auto share = static_cast<unsigned>(held.count() * 100 / options_.job.memory.count());
  const char* const what = level == Pressure::kNone      ? "memory is no longer short"
                           : level == Pressure::kPurging ? "the allocator gives back what is free"
                           : level == Pressure::kFloorsOnly ? "nothing is lent above the floors"
                                                            : "the limit is met";
  note(fmt::format("{} % of --memory held: {}", share, what));
}

void JobRuntime::describe_pressure() {
  report_->fact("pressure", fmt::format("{{\"purged\":{},\"floors_only\":{},\"exceeded\":{}}}",
                                        pressed_[0], pressed_[1], pressed_[2]));
}

Result<void> JobRuntime::finish_report() {
  report_->finish();
  if (governor_ != nullptr) pressed_ = governor_->pressure_counts();
  describe_pressure();
  report_->fact("ended", "\"finished\"");
  report_->fact("scratch_peak_bytes", fmt::format("{}", space_->peak().count()));
  report_->fact("scratch_written_bytes", fmt::format("{}", space_->written().count()));
  body_->describe(*report_);
  reported_ = true;
  return write_reports(true);
}

Result<void> JobRuntime::write_reports(bool own) {
  const auto write = [&](const std::string& path) {
    return write_durably(path, path.ends_with(".html") ? report_->html() : report_->json());
  };
  if (own && !options_.own_report.empty()) TRY(write(options_.own_report));
  if (options_.job.report.empty()) return {};
  TRY(standing_report_.must_be_as_it_was());
  return write(options_.job.report);
}

Error JobRuntime::explained(Error error, const Body& body) const {
  const bool resumes = body.can_resume();
  if (error.code() == Code::kCancelled)
    return Error(error.code(), error.message() + (resumes ? "; the same command continues"
                                                          : "; nothing is kept of this run"));
  if (is_full(error) && resumes)
    return Error(error.code(),
                 error.message() + "; run the same command again when there is room: it resumes",
                 error.system_errno());
  return error;
}

std::string JobRuntime::status_text() {
  std::string text = fmt::format("spillway: {}", options_.command);
  {
    MutexLock lock(mutex_);
    if (progress_) text += "  " + progress_->line();
  }
  const ProcessCounts counts = process_counts();
  text += fmt::format("\n  {} descriptors, {} threads; leased {} of {}, scratch {}\n",
                      counts.descriptors, counts.threads, to_string(budget_->used()),
                      to_string(budget_->capacity()), to_string(space_->used()));
  std::vector<AccountUsage> accounts = budget_->usage();
  std::stable_sort(accounts.begin(), accounts.end(),
                   [](const auto& a, const auto& b) { return a.used > b.used; });
  for (const AccountUsage& account : accounts)
    text += fmt::format("  {:<12} {:>10}  most {:>10}  waited {:.1f} s\n", account.name,
                        to_string(account.used), to_string(account.peak), account.waited_seconds);
  return text;
}

std::string JobRuntime::stop_notice() {
  MutexLock lock(running_mutex);
  if (running == nullptr || running->options_.keeps.empty())
    return "stopping; once more to stop at once";
  return fmt::format("stopping at {}; once more to stop at once", running->options_.keeps);
}

bool JobRuntime::is_any_running() {
  MutexLock lock(running_mutex);
  return running != nullptr;
}

std::string JobRuntime::status() {
  MutexLock lock(running_mutex);
  return running == nullptr ? "spillway: no job runs yet\n" : running->status_text();
}

}  // namespace spillway
