#include "transform/merge/merge_journal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/disk/corrupt.hpp"
#include "core/file/folders.hpp"
#include "core/json.hpp"
#include "transform/job/other_run.hpp"

namespace spillway::transform {
namespace {

// A merge that was killed before its first run left nothing to go on from, whosever it was.
Result<void> clear_what_is_empty(const WorkFolder& work, const std::string& configuration) {
  if (!TRY(work.has_anchor())) return {};
  const Journal::Head head = TRY(Journal::head_of(work.anchor()));
  if (head.configuration == configuration) return {};
  if (head.has_entries) return fail(other_run(work.path(), head.configuration, configuration));
  return work.clear();
}

}  // namespace

std::string MergeJournal::runs_folder(const WorkFolder& work, size_t file) {
  return fmt::format("{}/file-{}-runs", work.path(), file + 1);
}

Result<MergeJournal> MergeJournal::open(const WorkFolder& work, const std::string& configuration,
                                        size_t files) {
  TRY(clear_what_is_empty(work, configuration));
  MergeJournal made(work.anchor());
  made.journal_.emplace(TRY(Journal::open(
      work.anchor(), configuration, [&](std::string_view entry) { return made.replay(entry); })));
  for (size_t file = 0; file < files; ++file) {
    TRY(remove_other_runs(runs_folder(work, file), made.sorted(file).runs));
  }
  return made;
}

Result<void> MergeJournal::replay(std::string_view entry) {
  try {
    const OrderedJson json = OrderedJson::parse(entry);
    if (json.contains("output")) {
      has_begun_output_ = true;
      return {};
    }
    SortedRows& sorted = sorted_[json.at("file")];
    sorted.rows = json.at("rows");
    if (json.contains("run")) {
      const OrderedJson& run = json.at("run");
      sorted.runs.push_back({run.at(0), run.at(1), run.at(2), run.at(3)});
    } else {
      sorted.is_all = true;
    }
  } catch (const std::exception& problem) {
    return fail_corrupt(fmt::format("{}: {}", anchor_, problem.what()));
  }
  return {};
}

SortedRows MergeJournal::sorted(size_t file) const {
  const auto at = sorted_.find(file);
  return at == sorted_.end() ? SortedRows() : at->second;
}

Result<void> MergeJournal::add_run(size_t file, const DurableRun& run, uint64_t rows) {
  OrderedJson line;
  line["file"] = file;
  line["run"] = {run.file, run.bytes, run.frames, run.records};
  line["rows"] = rows;
  return journal_->append(line.dump());
}

Result<void> MergeJournal::finish_file(size_t file, uint64_t rows) {
  return journal_->append(OrderedJson{{"file", file}, {"rows", rows}}.dump());
}

Result<void> MergeJournal::begin_output() {
  return journal_->append(OrderedJson{{"output", true}}.dump());
}

}  // namespace spillway::transform
