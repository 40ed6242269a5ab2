#include "core/file/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"

namespace spillway {
namespace {

constexpr unsigned kMostWriters = 16;  // of one name at once

// What `path` leads to is this file, which is ours: nobody renamed or removed it before it was locked.
Result<bool> is_still_at(const File& file, const std::string& path) {
  const auto named = TRY(look_at(path));
  return named && named->is_same_file(TRY(file.info()));
}

// A file of this process alone, at `partial` or, while another one writes there, beside it.
Result<File> take_partial(const std::string& partial) {
  for (unsigned writer = 0; writer < kMostWriters;) {
    const std::string path = writer == 0 ? partial : fmt::format("{}.{}", partial, writer);
    File file = TRY(File::open(path, File::Mode::kKeep));
    if (!TRY(file.try_lock())) {
      ++writer;
    } else if (TRY(is_still_at(file, path))) {
      TRY(file.truncate(0));
      return file;
    }
  }
  return fail(Code::kInvalid, partial + ": too many others are writing it");
}

class FileOutput final : public Output {
 public:
  FileOutput(File file, std::string path, OutputOptions options)
      : file_(std::move(file)),
        path_(std::move(path)),
        partial_(file_.path()),
        behind_(options.behind),
        tap_(options.tap),
        own_(options.buffer),
        room_(own_) {
    file_.rename(path_);  // messages tell the name that the user knows
    if (behind_ != nullptr) room_ = behind_->buffer();
  }
  ~FileOutput() override {
    if (!file_.is_open()) return;
    if (behind_ != nullptr) (void)behind_->finish(file_);
    (void)remove_file(partial_);
  }

  Result<void> append(std::span<const uint8_t> data) override {
    while (!data.empty()) {
      if (used_ == room_.size()) TRY(flush());
      if (room_.empty()) return write(data);
      const size_t part = std::min(data.size(), room_.size() - used_);
      std::memcpy(room_.data() + used_, data.data(), part);
      used_ += part;
      data = data.subspan(part);
    }
    return {};
  }

  Result<void> write_at(uint64_t offset, std::span<const uint8_t> data) override {
    CHECK(tap_ == nullptr && offset + data.size() <= size());
    TRY(settle());
    return file_.write_at(offset, data);
  }

  uint64_t size() const override { return written_ + used_; }
  const std::string& name() const override { return path_; }

  Result<std::unique_ptr<Source>> read_back() override {
    TRY(settle());
    return view_of(file_, written_);
  }

  Result<void> commit() && override {
    TRY(settle());
    TRY(file_.sync());
    TRY(rename_file(partial_, path_));
    file_ = File();
    return sync_folder(folder_of(path_));
  }

  Result<void> leave() && override {
    TRY(settle());
    file_ = File();
    return {};
  }

 private:
  Result<void> write(std::span<const uint8_t> data) {
    if (tap_ != nullptr) tap_->add(data);
    TRY(file_.write_at(written_, data));
    written_ += data.size();
    return {};
  }
  Result<void> flush() {
    if (used_ == 0) return {};
    if (behind_ == nullptr || used_ < room_.size()) {
      TRY(write(room_.first(used_)));
    } else {
      TRY(behind_->write(file_, written_, tap_));
      written_ += used_;
      room_ = behind_->buffer();
    }
    used_ = 0;
    return {};
  }
  // All that was appended is in the file.
  Result<void> settle() {
    if (behind_ != nullptr && written_ > 0) TRY(behind_->finish(file_));
    return flush();
  }

  File file_;
  const std::string path_, partial_;
  WriteBehind* const behind_;
  ByteTap* const tap_;
  std::vector<uint8_t> own_;
  std::span<uint8_t> room_;
  size_t used_ = 0;
  uint64_t written_ = 0;
};

}  // namespace

Result<std::unique_ptr<Output>> create_output(const std::string& path, OutputOptions options) {
  TRY(refuse_remote(path));
  File file = TRY(take_partial(options.partial.empty() ? path + ".partial" : options.partial));
  return std::make_unique<FileOutput>(std::move(file), path, std::move(options));
}

Result<void> write_durably(const std::string& path, std::string_view content) {
  auto output = TRY(create_output(path));
  TRY(output->append(content));
  return std::move(*output).commit();
}

}  // namespace spillway
