#include "export/shard/shard_publisher.hpp"

#include <fmt/format.h>

#include <set>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/json.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kGroupShards = 512;
constexpr uint64_t kGroupBytes = uint64_t{512} << 20;
constexpr uint64_t kLargeShard = uint64_t{1} << 20;

constexpr const char* kChecked = "checked";  // of an entry in known_: its files are whole

SpillQueue::Options queue_options() {
  return {.segment_bytes = size_t{256} << 10, .frame_bytes = size_t{64} << 10};
}

// What is on the disk by now need not stay in memory: the next shards can have its pages.
void forget_pages(const std::string& path) {
  if (const auto file = File::open(path)) file->forget_pages();
}

// The shard's line of the manifest, and what the manifest does not tell.
std::string journal_entry(const ShardPublisher::Finished& shard) {
  if (shard.input.empty()) return shard.entry;
  OrderedJson entry = OrderedJson::parse(shard.entry);
  entry["input"] = shard.input;
  return entry.dump();
}

}  // namespace

Bytes ShardPublisher::room() { return SpillQueue::floor(queue_options()) * 2 + 512_KiB; }

Result<std::unique_ptr<ShardPublisher>> ShardPublisher::open(std::string out, std::string work,
                                                             const std::string& configuration,
                                                             Account account,
                                                             std::shared_ptr<ScratchSpace> space) {
  std::unique_ptr<ShardPublisher> publisher(new ShardPublisher);
  publisher->out_ = std::move(out);
  publisher->work_ = std::move(work);
  publisher->known_ = TRY(SpillQueue::create(queue_options(), account, space));
  publisher->entries_ = TRY(SpillQueue::create(queue_options(), account, space));
  auto journal = TRY(Journal::open(
      publisher->work_ + "/journal", configuration, [&](std::string_view line) -> Result<void> {
        const OrderedJson json = parse_json<OrderedJson>(line);
        if (json.is_object()) {
          for (const auto& [name, value] : json.items())
            publisher->noted_[name] = value.is_string() ? value.get<std::string>() : "";
          return {};
        }
        if (!json.is_array()) return fail(Code::kCorrupt, "a line of the journal is no list");
        publisher->has_shards_ = true;
        for (const OrderedJson& entry : json) {
          const std::string text = entry.dump();
          TRY(publisher->known_->push(
              {reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
        }
        return {};
      }));
  publisher->journal_ = std::make_unique<Journal>(std::move(journal));
  TRY(remove_tree(publisher->work_ + "/parts"));
  TRY(make_folders(publisher->work_ + "/parts"));
  publisher->disk_ = TRY(File::open_folder(publisher->work_));
  return publisher;
}

Result<void> ShardPublisher::same_as_before(const std::string& name, const std::string& value,
                                            const std::string& refusal) {
  const auto noted = noted_.find(name);
  if (noted != noted_.end() && noted->second == value) return {};
  if (noted != noted_.end() && has_shards_) return fail(Code::kUsage, refusal);
  TRY(wait());
  noted_[name] = value;
  return journal_->append(OrderedJson{{name, value}}.dump());
}

std::string ShardPublisher::part(uint64_t number, const std::string& extension) const {
  return fmt::format("{}/parts/{}.{}", work_, number, extension);
}

Result<bool> ShardPublisher::is_done(const std::string& name, std::string* input) {
  if (next_known_.empty()) {
    const auto record = TRY(known_->pop());
    if (!record) return false;
    next_known_.assign(reinterpret_cast<const char*>(record->data()), record->size());
  }
  OrderedJson entry = parse_json<OrderedJson>(next_known_);
  const std::string file = entry.is_object() ? entry.value("file", "") : "";
  const std::string stem = file == name ? file : file.substr(0, file.rfind('.'));
  if (stem != name) return false;
  std::string text = std::exchange(next_known_, {});
  const bool was_checked = entry.erase(kChecked) > 0;
  const bool is_good =
      entry.contains("input") == (input != nullptr) && (was_checked || TRY(is_whole(entry, {})));
  if (!is_good) {
    damaged_[name] = std::move(text);
    return false;
  }
  if (input != nullptr) {
    *input = entry.value("input", "");
    entry.erase("input");
  }
  TRY(remember(entry.dump()));
  ++skipped_;
  return true;
}

Result<bool> ShardPublisher::is_whole(const OrderedJson& entry, const std::stop_token& stop) const {
  const auto matches = [&](const std::string& path, const char* key) -> Result<bool> {
    auto hash = sha256_of_file(path, stop);
    if (!hash && hash.error().code() == Code::kNotFound) return false;
    return TRY(std::move(hash)) == entry.value(key, "");
  };
  const std::string file = entry.value("file", "");
  if (!TRY(matches(out_ + "/" + file, "sha256"))) return false;
  if (!entry.contains("csv_sha256")) return true;
  return matches(out_ + "/" + file.substr(0, file.rfind('.')) + ".csv", "csv_sha256");
}

Result<void> ShardPublisher::check_finished(
    const std::function<Result<void>(const std::string& name)>& take, const std::stop_token& stop) {
  for (uint64_t left = known_->size(); left > 0; --left) {
    const auto record = TRY(known_->pop());
    std::string text(reinterpret_cast<const char*>(record->data()), record->size());
    OrderedJson entry = parse_json<OrderedJson>(text);
    if (entry.is_object() && !entry.contains("input")) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while looking at shards");
      if (!entry.contains(kChecked) && TRY(is_whole(entry, stop))) {
        entry[kChecked] = true;
        text = entry.dump();
      }
      if (entry.contains(kChecked)) TRY(take(entry.value("file", "")));
    }
    TRY(known_->push({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  }
  return {};
}

Result<void> ShardPublisher::remember(std::string_view entry) {
  ++shards_;
  return entries_->push({reinterpret_cast<const uint8_t*>(entry.data()), entry.size()});
}

Result<void> ShardPublisher::add(Finished shard) {
  TRY(remember(shard.entry));
  group_bytes_ += shard.bytes;
  bytes_ += shard.bytes;
  // Noted twice, it would stand in the way of those behind it when the run is continued again.
  const auto damaged = damaged_.extract(shard.name);
  const bool is_noted = !damaged.empty() && damaged.mapped() == journal_entry(shard);
  group_.push_back({std::move(shard), is_noted});
  if (group_.size() < kGroupShards && group_bytes_ < kGroupBytes) return {};
  TRY(wait());
  publishing_ = std::exchange(group_, {});
  group_bytes_ = 0;
  thread_ = std::thread([this] { published_ = publish(publishing_); });
  return {};
}

Result<void> ShardPublisher::wait() {
  if (!thread_.joinable()) return {};
  thread_.join();
  if (published_) return {};
  // Kept for another try: nothing of a later group may be noted before it.
  group_.insert(group_.begin(), std::make_move_iterator(publishing_.begin()),
                std::make_move_iterator(publishing_.end()));
  return std::exchange(published_, Result<void>());
}

Result<void> ShardPublisher::flush() {
  TRY(wait());
  TRY(publish(group_));
  group_.clear();
  group_bytes_ = 0;
  return {};
}

ShardPublisher::~ShardPublisher() {
  if (thread_.joinable()) thread_.join();
}

Result<void> ShardPublisher::publish(const std::vector<Pending>& group) {
  if (group.empty()) return {};
  TRY(disk_.sync_file_system());
  std::set<std::string> folders;
  std::string line = "[";
  for (const Pending& pending : group) {
    const Finished& shard = pending.shard;
    for (const std::string& extension : shard.extensions) {
      const std::string from = fmt::format("{}/parts/{}.{}", work_, shard.number, extension);
      const std::string to = extension.empty()
                                 ? out_ + "/" + shard.name
                                 : fmt::format("{}/{}.{}", out_, shard.name, extension);
      const std::string folder = folder_of(to);
      if (folders.insert(folder).second) TRY(make_folders(folder));
      TRY(rename_file(from, to));
      if (shard.bytes >= kLargeShard) forget_pages(to);
    }
    if (!pending.is_noted) line += (line.size() > 1 ? "," : "") + journal_entry(shard);
  }
  for (const std::string& folder : folders) TRY(sync_folder(folder));
  if (line.size() > 1) TRY(journal_->append(line + "]"));
  return {};
}

Result<void> ShardPublisher::retract() {
  TRY(flush());
  TRY(entries([&](std::string_view entry) -> Result<void> {
    const std::string file = OrderedJson::parse(entry).value("file", "");
    const std::string stem = out_ + "/" + file.substr(0, file.rfind('.'));
    for (const std::string& path : {out_ + "/" + file, stem + ".csv"}) TRY(remove_file(path));
    return {};
  }));
  journal_.reset();
  TRY(remove_file(work_ + "/journal"));
  return {};
}

Result<void> ShardPublisher::entries(const std::function<Result<void>(std::string_view)>& take) {
  while (auto record = TRY(entries_->pop()))
    TRY(take({reinterpret_cast<const char*>(record->data()), record->size()}));
  return {};
}

ShardPublisher::Finished finished_shard(uint64_t number, const std::string& name, Target target,
                                        const ShardFigures& figures) {
  const bool is_arrow = target == Target::kArrow;
  OrderedJson entry;
  entry["file"] = name + (is_arrow ? ".arrow" : ".shard");
  entry["rows"] = figures.rows;
  if (is_arrow) entry["batches"] = figures.batches;
  entry["bytes"] = figures.bytes;
  entry["sha256"] = figures.sha256;
  if (is_arrow) {
    entry["csv_bytes"] = figures.csv_bytes;
    entry["csv_sha256"] = figures.csv_sha256;
  }
  std::vector<std::string> extensions{"shard"};
  if (is_arrow) extensions = {"csv", "arrow"};
  return {number, name, extensions, entry.dump(), figures.bytes, ""};
}

}  // namespace spillway::exporter
