#include "export/source/volume_store.hpp"

#include <fmt/format.h>

#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "core/file/folders.hpp"
#include "net/objects.hpp"

namespace spillway::exporter {
namespace {

int64_t now_ns() {
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class LocalStore final : public VolumeStore {
 public:
  explicit LocalStore(std::string folder) : VolumeStore(std::move(folder)), begin_ns_(now_ns()) {}

  Result<std::optional<size_t>> read(const std::string& name, uint64_t offset,
                                     std::span<uint8_t> out, const std::stop_token&) override {
    if (!TRY(open(name))) return std::optional<size_t>();
    return std::optional(TRY(file_.read_some_at(offset, out)));
  }
  Result<std::optional<Whole>> read_whole(const std::string& name, std::span<uint8_t> out,
                                          const std::stop_token&) override {
    static constexpr Whole kKinds[] = {{0, Packing::kNone, ""},
                                       {0, Packing::kGzip, ".gz"},
                                       {0, Packing::kBrotli, ".br"},
                                       {0, Packing::kZstd, ".zstd"},
                                       {0, Packing::kZstd, ".zst"}};
    for (Whole whole : kKinds) {
      if (!TRY(open(name + whole.suffix))) continue;
      whole.bytes = TRY(file_.read_some_at(0, out));
      uint8_t more;
      if (whole.bytes == out.size() && TRY(file_.read_some_at(whole.bytes, {&more, 1})) > 0)
        return fail(Code::kTooLarge, fmt::format("{}: is longer than {} bytes", path_, out.size()));
      return std::optional(whole);
    }
    for (const char* const suffix : {".xz", ".bz2", ".lz4"}) {
      if (TRY(open(name + suffix)))
        return fail(Code::kInvalid,
                    path_ +
                        ": is packed as its name says, which is not read; unpack it, or pack it "
                        "with gzip, brotli or zstd");
    }
    return std::optional<Whole>();
  }
  Result<void> finish() override {
    TRY(leave());
    return folder_.empty() ? Result<void>() : must_be_unchanged(folder_, folder_before_);
  }

 private:
  Result<bool> open(const std::string& name) {
    std::string path = place_ + "/" + name;
    if (file_.is_open() && path == path_) return true;
    TRY(leave());
    TRY(enter_folder(path.substr(0, path.rfind('/'))));
    auto file = File::open(path);
    if (!file && file.error().code() == Code::kNotFound) return false;
    file_ = TRY(std::move(file));
    path_ = std::move(path);
    before_ = TRY(file_.info());
    // A time to come is another clock's and says nothing.
    if (before_.changed_ns > begin_ns_ && before_.changed_ns <= now_ns())
      return fail(changed_while_read(path_));
    return true;
  }
  // Of the folder that is read now, that no name in it came or went.
  Result<void> enter_folder(std::string folder) {
    if (folder == folder_) return {};
    if (!folder_.empty()) TRY(must_be_unchanged(folder_, folder_before_));
    folder_ = std::move(folder);
    folder_before_ = TRY(look_at(folder_)).value_or(FileInfo());
    return {};
  }
  Result<void> leave() {
    if (!file_.is_open()) return {};
    file_ = File();
    return must_be_unchanged(path_, before_);
  }
  const int64_t begin_ns_;
  std::string path_, folder_;
  FileInfo before_, folder_before_;
  File file_;
};

}  // namespace

// Threads: any.
class VolumeStore::Marks {
 public:
  // What the object was; none when it is not known.
  std::optional<net::Fetched> of(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto at = known_.find(name);
    return at == known_.end() ? std::nullopt : std::optional(at->second);
  }
  // Whether it is another than what was read of it first.
  bool differs(const std::string& name, const net::Fetched& fetched) {
    const std::lock_guard lock(mutex_);
    const auto [at, is_new] = known_.emplace(name, fetched);
    const net::Fetched& first = at->second;
    if (!is_new)
      return differ(first.etag, fetched.etag) ||
             differ(first.last_modified, fetched.last_modified) ||
             (first.size && fetched.size && first.size != fetched.size);
    order_.push_back(name);
    if (order_.size() <= kMost) return false;
    known_.erase(order_.front());
    order_.pop_front();
    return false;
  }

 private:
  static bool differ(const std::string& a, const std::string& b) {
    return !a.empty() && !b.empty() && a != b;
  }
  static constexpr size_t kMost = 1024;
  std::mutex mutex_;
  std::map<std::string, net::Fetched> known_;
  std::deque<std::string> order_;
};

std::shared_ptr<VolumeStore::Marks> VolumeStore::make_marks() { return std::make_shared<Marks>(); }

namespace {

class HttpStore final : public VolumeStore {
 public:
  HttpStore(std::string address, std::shared_ptr<Marks> marks)
      : VolumeStore(std::move(address)), marks_(std::move(marks)) {}

  Result<std::optional<size_t>> read(const std::string& name, uint64_t offset,
                                     std::span<uint8_t> out, const std::stop_token& stop) override {
    const std::string address = place_ + "/" + name;
    const auto before = marks_->of(name);
    const auto fetched = TRY(
        objects_.get_range(address, offset, out, stop, before ? before->etag : std::string_view()));
    if (!fetched && !before) return std::optional<size_t>();
    if (!fetched || marks_->differs(name, *fetched))
      return fail(changed_while_read(net::redacted(address)));
    return bytes_of(fetched);
  }
  Result<std::optional<Whole>> read_whole(const std::string& name, std::span<uint8_t> out,
                                          const std::stop_token& stop) override {
    const auto bytes = bytes_of(TRY(objects_.get(place_ + "/" + name, out, stop)));
    if (!bytes) return std::optional<Whole>();
    return std::optional(Whole{.bytes = *bytes});
  }

 private:
  static std::optional<size_t> bytes_of(const std::optional<net::Fetched>& fetched) {
    return fetched ? std::optional(fetched->bytes) : std::nullopt;
  }
  const net::Objects objects_;
  const std::shared_ptr<Marks> marks_;
};

}  // namespace

Result<std::unique_ptr<VolumeStore>> VolumeStore::open(const std::string& place,
                                                       std::shared_ptr<Marks> marks) {
  if (net::is_http(place)) {
    TRY(net::check_address(place));
    if (place.find_first_of("?#") != std::string::npos)
      return fail(Code::kUsage, net::redacted(place) +
                                    ": the address of a volume is that of a folder and has no "
                                    "query; a signature of one file opens no other");
    return std::unique_ptr<VolumeStore>(std::make_unique<HttpStore>(place, std::move(marks)));
  }
  return std::unique_ptr<VolumeStore>(std::make_unique<LocalStore>(place));
}

}  // namespace spillway::exporter
