#include "core/file/write_behind.hpp"

#include <array>
#include <cerrno>
#include <optional>
#include <thread>
#include <utility>

#include "core/memory/pages.hpp"
#include "core/mutex.hpp"

namespace spillway {
namespace {

constexpr size_t kBuffers = 3;

class Writer final : public WriteBehind {
 public:
  Writer(Pages pages, Tap tap) : tap_(tap), pages_(std::move(pages)), thread_([this] { work(); }) {}
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

  Result<void> write(const File& file, uint64_t offset, ByteTap* tap) override {
    if (tap != nullptr && tap_ == Tap::kByCaller) tap->add(of(taken_by_caller_));
    ++taken_by_caller_;
    {
      MutexLock lock(mutex_);
      if (error_) return fail(*std::exchange(error_, std::nullopt));
      if (direct_ != &file) file.write_direct(true);
      direct_ = &file;
      tasks_[taken_++ % kBuffers] = {&file, offset, tap};
    }
    changed_.notify_all();
    return {};
  }

  Result<void> finish(const File& file) override {
    MutexLock lock(mutex_);
    while (written_ != taken_) changed_.wait(mutex_);
    if (direct_ == &file) file.write_direct(false);
    direct_ = nullptr;
    if (error_) return fail(*std::exchange(error_, std::nullopt));
    return {};
  }

 private:
  struct Task {
    const File* file = nullptr;
    uint64_t offset = 0;
    ByteTap* tap = nullptr;
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
      if (task.tap != nullptr && tap_ == Tap::kBehind) task.tap->add(bytes);
      auto done = task.file->write_at(task.offset, bytes);
      if (!done && done.error().system_errno() == EINVAL) {  // not every file system can
        task.file->write_direct(false);
        done = task.file->write_at(task.offset, bytes);
      }
      {
        MutexLock lock(mutex_);
        ++written_;
        if (!done && !error_) error_.emplace(std::move(done).error());
      }
      changed_.notify_all();
    }
  }

  const Tap tap_;
  Pages pages_;
  uint64_t taken_by_caller_ = 0;  // as taken_
  Mutex mutex_;
  CondVar changed_;
  uint64_t taken_ GUARDED_BY(mutex_) = 0, written_ GUARDED_BY(mutex_) = 0;  // buffers, ever
  std::array<Task, kBuffers> tasks_ GUARDED_BY(mutex_);
  std::optional<Error> error_ GUARDED_BY(mutex_);
  const File* direct_ GUARDED_BY(mutex_) = nullptr;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

Bytes WriteBehind::room() { return Bytes(kBuffers * kBufferBytes); }

Result<std::unique_ptr<WriteBehind>> WriteBehind::create(Lease lease, Tap tap) {
  CHECK(lease.bytes() >= room());
  return std::unique_ptr<WriteBehind>(
      std::make_unique<Writer>(TRY(Pages::map(std::move(lease))), tap));
}

}  // namespace spillway
