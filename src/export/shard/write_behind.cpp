#include "export/shard/write_behind.hpp"

#include <fcntl.h>

#include <array>
#include <optional>
#include <thread>
#include <utility>

#include "core/disk/file_io.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kBuffers = 3;

void write_direct(int fd, bool direct) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) (void)::fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

class Writer final : public WriteBehind {
 public:
  Writer(Pages pages, Hash hash)
      : hash_(hash), pages_(std::move(pages)), thread_([this] { work(); }) {}
  ~Writer() override {
    {
      MutexLock lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::span<uint8_t> buffer() override {
    MutexLock lock(mutex_);
    while (taken_ - written_ == kBuffers) changed_.wait(mutex_);
    return of(taken_);
  }

  Result<void> write(int fd, uint64_t offset, const std::string& path, Sha256& hash) override {
    if (hash_ == Hash::kByCaller) hash.add(of(taken_by_caller_));
    ++taken_by_caller_;
    {
      MutexLock lock(mutex_);
      if (error_) return fail(*std::exchange(error_, std::nullopt));
      if (direct_fd_ != fd) write_direct(fd, true);
      direct_fd_ = fd;
      tasks_[taken_++ % kBuffers] = {fd, offset, path, &hash};
    }
    changed_.notify_all();
    return {};
  }

  Result<void> finish(int fd) override {
    MutexLock lock(mutex_);
    while (written_ != taken_) changed_.wait(mutex_);
    if (direct_fd_ == fd) write_direct(fd, false);
    direct_fd_ = -1;
    if (error_) return fail(*std::exchange(error_, std::nullopt));
    return {};
  }

 private:
  struct Task {
    int fd = -1;
    uint64_t offset = 0;
    std::string path;
    Sha256* hash = nullptr;
  };

  std::span<uint8_t> of(uint64_t buffer) const {
    return {pages_.data() + buffer % kBuffers * kBufferBytes, kBufferBytes};
  }

  void work() {
    while (true) {
      Task task;
      uint64_t buffer = 0;
      {
        MutexLock lock(mutex_);
        while (written_ == taken_ && !ended_) changed_.wait(mutex_);
        if (written_ == taken_) return;
        buffer = written_;
        task = tasks_[buffer % kBuffers];
      }
      const std::span<const uint8_t> bytes = of(buffer);
      if (hash_ == Hash::kBehind) task.hash->add(bytes);
      auto done = write_fully_at(task.fd, task.offset, bytes, task.path);
      if (!done) {  // not every file system can; what was written is written again
        write_direct(task.fd, false);
        done = write_fully_at(task.fd, task.offset, bytes, task.path);
      }
      {
        MutexLock lock(mutex_);
        ++written_;
        if (!done && !error_) error_.emplace(std::move(done).error());
      }
      changed_.notify_all();
    }
  }

  const Hash hash_;
  Pages pages_;
  uint64_t taken_by_caller_ = 0;  // as taken_
  Mutex mutex_;
  CondVar changed_;
  uint64_t taken_ GUARDED_BY(mutex_) = 0, written_ GUARDED_BY(mutex_) = 0;  // buffers, ever
  std::array<Task, kBuffers> tasks_ GUARDED_BY(mutex_);
  std::optional<Error> error_ GUARDED_BY(mutex_);
  int direct_fd_ GUARDED_BY(mutex_) = -1;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

Bytes WriteBehind::room() { return Bytes(kBuffers * kBufferBytes); }

Result<std::unique_ptr<WriteBehind>> WriteBehind::create(Lease lease, Hash hash) {
  CHECK(lease.bytes() >= room());
  return std::unique_ptr<WriteBehind>(
      std::make_unique<Writer>(TRY(Pages::map(std::move(lease))), hash));
}

}  // namespace spillway::exporter
