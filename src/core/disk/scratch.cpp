#include "core/disk/scratch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/file/folders.hpp"

namespace spillway {

Result<std::shared_ptr<ScratchSpace>> ScratchSpace::create(Options options) {
  const DiskInfo disk = TRY(disk_under(options.folder));
  if (disk.is_memory && !options.allow_tmpfs) {
    return fail(
        Code::kInvalid,
        fmt::format("{}: is on tmpfs, which is memory; choose a folder on a disk with --scratch",
                    options.folder));
  }
  auto space = std::shared_ptr<ScratchSpace>(new ScratchSpace);
  space->folder_ = options.folder;
  space->has_own_limit_ = options.limit > Bytes(0);
  space->limit_ = space->has_own_limit_ ? options.limit : Bytes(disk.free / 10 * 9);
  return space;
}

Result<void> ScratchSpace::reserve(Bytes bytes) {
  const uint64_t used = used_.fetch_add(bytes.count(), std::memory_order_relaxed) + bytes.count();
  if (used > limit_.count()) {
    used_.fetch_sub(bytes.count(), std::memory_order_relaxed);
    const char* const why =
        has_own_limit_ ? "is full: raise --scratch-limit"
                       : "has taken nine tenths of what was free on its disk: make room, or choose "
                         "another folder with --scratch";
    return fail(
        Code::kScratchFull,
        fmt::format("scratch in {} {} (used {} of {}, needed {} more)", folder_, why,
                    to_string(Bytes(used - bytes.count())), to_string(limit_), to_string(bytes)));
  }
  written_.fetch_add(bytes.count(), std::memory_order_relaxed);
  uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (used > peak && !peak_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
  return {};
}

Error ScratchSpace::explain(Error error, const std::string& folder) const {
  if (error.code() != Code::kDiskFull) return error;
  if (error.system_errno() == EFBIG)  // the disk has room
    return Error(Code::kScratchFull, error.message(), EFBIG);
  const char* const how = folder == folder_ ? " or choose another folder with --scratch" : "";
  return Error(Code::kScratchFull,
               fmt::format("the disk under {} is full (we use {} for scratch); make room{}", folder,
                           to_string(used()), how),
               error.system_errno());
}

void ScratchSpace::give_back(Bytes bytes) {
  used_.fetch_sub(bytes.count(), std::memory_order_relaxed);
}

Result<ScratchFile> ScratchSpace::open() {
  ScratchFile scratch;
  scratch.file_ = TRY(File::unnamed(folder_));
  scratch.space_ = shared_from_this();
  return scratch;
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : space_(std::move(other.space_)),
      file_(std::move(other.file_)),
      size_(std::exchange(other.size_, 0)),
      charged_(other.charged_.exchange(0)) {}

ScratchFile& ScratchFile::operator=(ScratchFile&& other) noexcept {
  if (this != &other) {
    this->~ScratchFile();
    new (this) ScratchFile(std::move(other));
  }
  return *this;
}

ScratchFile::~ScratchFile() {
  if (space_) space_->give_back(Bytes(charged_.load()));
}

Result<uint64_t> ScratchFile::append(std::span<const uint8_t> data) {
  const uint64_t offset = size_;
  TRY(write_at(offset, data));
  return offset;
}

Result<void> ScratchFile::write_at(uint64_t offset, std::span<const uint8_t> data) {
  TRY(space_->reserve(Bytes(data.size())));
  auto written = file_.write_at(offset, data);
  if (!written) {
    space_->give_back(Bytes(data.size()));
    return fail(space_->explain(std::move(written).error(), space_->folder()));
  }
  charged_.fetch_add(data.size(), std::memory_order_relaxed);
  size_ = std::max(size_, offset + data.size());
  return {};
}

Result<void> ScratchFile::read_at(uint64_t offset, std::span<uint8_t> out) const {
  return file_.read_at(offset, out);
}

void ScratchFile::will_read(uint64_t offset, uint64_t length) const {
  file_.will_read(offset, length);
}

void ScratchFile::punch(uint64_t offset, uint64_t length) {
  if (!file_.punch(offset, length)) return;  // the space comes back when the file closes
  const uint64_t given = std::min<uint64_t>(length, charged_.load());
  charged_.fetch_sub(given);
  space_->give_back(Bytes(given));
}

namespace {

class ScratchSource final : public Source {
 public:
  ScratchSource(std::shared_ptr<const ScratchFile> file, std::string name)
      : file_(std::move(file)), name_(std::move(name)) {}
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const override {
    return file_->read_at(offset, out);
  }
  uint64_t size() const override { return file_->size(); }
  const std::string& name() const override { return name_; }
  std::string identity() const override { return name_; }

 private:
  const std::shared_ptr<const ScratchFile> file_;
  const std::string name_;
};

}  // namespace

std::unique_ptr<Source> source_of(std::shared_ptr<const ScratchFile> file, std::string name) {
  return std::make_unique<ScratchSource>(std::move(file), std::move(name));
}

}  // namespace spillway
