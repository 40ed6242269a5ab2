#include "export/source/chunk_fetch.hpp"

#include <thread>
#include <utility>
#include <vector>

#include "core/mutex.hpp"

namespace spillway::exporter {
namespace {

constexpr Bytes kConnection{uint64_t{1} << 20};  // what curl and TLS keep

class ChunkFetch final : public ChunkReader {
 public:
  explicit ChunkFetch(std::vector<Lease> connections) : connections_(std::move(connections)) {}
  ~ChunkFetch() override {
    stop_.request_stop();
    {
      MutexLock lock(mutex_);
      is_ending_ = true;
      changed_.notify_all();
    }
    for (const auto& part : parts_) {
      if (part->thread.joinable()) part->thread.join();
    }
  }
  void add(std::unique_ptr<ChunkReader> reader) {
    parts_.push_back(std::make_unique<Part>());
    parts_.back()->reader = std::move(reader);
    ++open_;
  }

  Result<std::optional<Chunk>> next(const std::stop_token& stop) override {
    const std::stop_callback forward(stop, [this] { stop_.request_stop(); });
    if (!std::exchange(has_begun_, true)) {
      for (const auto& part : parts_) part->thread = std::thread([this, &part] { fetch(*part); });
    }
    MutexLock lock(mutex_);
    if (given_ != nullptr) {
      given_->is_full = false;
      given_ = nullptr;
      changed_.notify_all();
    }
    while (open_ > 0) {
      Part& part = *parts_[turn_++ % parts_.size()];
      if (part.has_ended) continue;
      while (!part.is_full) changed_.wait(mutex_);
      bytes_read_ += part.bytes_read;
      part.bytes_read = 0;
      if (first_missing_.empty()) first_missing_ = part.first_missing;
      if (!part.found) return fail(std::move(part.found).error());
      if (*part.found) {
        given_ = &part;
        return *part.found;
      }
      part.has_ended = true;
      --open_;
    }
    return std::optional<Chunk>();
  }
  uint64_t bytes_read() const override { return bytes_read_; }
  const std::string& first_missing() const override { return first_missing_; }

 private:
  struct Part {
    std::unique_ptr<ChunkReader> reader;  // its thread's
    std::thread thread;
    // With the mutex:
    Result<std::optional<Chunk>> found;
    uint64_t bytes_read = 0;  // since it was asked last
    std::string first_missing;
    bool is_full = false;  // found is to be taken, or in use
    bool has_ended = false;
  };

  void fetch(Part& part) {
    uint64_t told = 0;
    while (true) {
      auto found = part.reader->next(stop_.get_token());
      const bool goes_on = found && *found;
      const uint64_t read = part.reader->bytes_read();
      MutexLock lock(mutex_);
      part.found = std::move(found);
      part.bytes_read += read - std::exchange(told, read);
      if (part.first_missing.empty()) part.first_missing = part.reader->first_missing();
      part.is_full = true;
      changed_.notify_all();
      if (!goes_on) return;
      // Not until a stop: next() may still wait for this part, and is told by its reader.
      while (part.is_full && !is_ending_) changed_.wait(mutex_);
      if (is_ending_) return;
    }
  }

  const std::vector<Lease> connections_;
  std::stop_source stop_;
  Mutex mutex_;
  CondVar changed_;
  bool is_ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Part>> parts_;
  bool has_begun_ = false;
  Part* given_ = nullptr;  // whose chunk the caller has
  size_t turn_ = 0, open_ = 0;
  uint64_t bytes_read_ = 0;
  std::string first_missing_;
};

}  // namespace

Bytes chunk_fetch_room(const VolumeSpec& source, const Scale& scale) {
  return ChunkReader::room(source, scale) + kConnection;
}

Result<std::unique_ptr<ChunkReader>> open_chunk_fetch(const std::string& place,
                                                      const VolumeSpec& source, const Scale& scale,
                                                      Account account, Account more) {
  std::vector<Lease> rooms, connections;
  rooms.push_back(TRY(account.acquire(chunk_fetch_room(source, scale), std::stop_token())));
  while (rooms.size() < kMostChunkFetches) {
    auto room = more.try_acquire(chunk_fetch_room(source, scale));
    if (!room) break;
    rooms.push_back(std::move(*room));
  }
  for (Lease& room : rooms) connections.push_back(room.split(kConnection));
  auto fetch = std::make_unique<ChunkFetch>(std::move(connections));
  const auto marks = VolumeStore::make_marks();  // what one has seen of a shard holds for all
  for (size_t i = 0; i < rooms.size(); ++i) {
    fetch->add(TRY(ChunkReader::open(TRY(VolumeStore::open(place, marks)), source, scale,
                                     std::move(rooms[i]), {i, rooms.size()})));
  }
  return std::unique_ptr<ChunkReader>(std::move(fetch));
}

}  // namespace spillway::exporter
