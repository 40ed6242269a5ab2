#include "core/records/spill_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/disk/corrupt.hpp"

namespace spillway {

Bytes SpillQueue::floor(const Options& options) {
  return Bytes(2 * options.segment_bytes + FrameCodec::frame_room(options.frame_bytes)) +
         FrameCodec::workspace(Codec::kLz4);
}

Result<std::unique_ptr<SpillQueue>> SpillQueue::create(Options options, Account account,
                                                       std::shared_ptr<ScratchSpace> space) {
  CHECK(options.segment_bytes >= 64 && options.frame_bytes >= 64);
  std::unique_ptr<SpillQueue> queue(new SpillQueue);
  const size_t frame = FrameCodec::frame_room(options.frame_bytes);
  auto memory = account.try_acquire(Bytes(2 * options.segment_bytes + frame));
  auto workspace = account.try_acquire(FrameCodec::workspace(Codec::kLz4));
  if (!memory || !workspace) {
    return fail(Code::kMemoryLimit, fmt::format("a queue needs at least {}; raise --memory",
                                                to_string(floor(options))));
  }
  queue->memory_ = TRY(Pages::map(std::move(*memory)));
  queue->workspace_ = std::move(*workspace);
  queue->codec_ = std::make_unique<FrameCodec>(Codec::kLz4, options.frame_bytes);
  uint8_t* const at = queue->memory_.data();
  queue->head_ = {at, options.segment_bytes};
  queue->tail_ = {at + options.segment_bytes, options.segment_bytes};
  queue->frame_ = {at + 2 * options.segment_bytes, frame};
  queue->options_ = options;
  queue->space_ = std::move(space);
  return queue;
}

Result<void> SpillQueue::push(std::span<const uint8_t> record) {
  const uint32_t length = static_cast<uint32_t>(record.size());
  const size_t need = sizeof length + record.size();
  if (record.size() > tail_.size() - sizeof length) {
    return fail(Code::kTooLarge, fmt::format("a record of {} bytes is longer than a segment ({})",
                                             record.size(), to_string(Bytes(tail_.size()))));
  }
  if (need > tail_.size() - tail_end_) {
    if (head_at_ == head_end_ && spilled_.empty()) {  // all is in the tail: it becomes the head
      std::swap(head_, tail_);
      head_at_ = 0;
      head_end_ = std::exchange(tail_end_, 0);
    } else {
      TRY(spill_tail());
    }
  }
  std::memcpy(tail_.data() + tail_end_, &length, sizeof length);
  if (!record.empty())
    std::memcpy(tail_.data() + tail_end_ + sizeof length, record.data(), record.size());
  tail_end_ += need;
  ++size_;
  return {};
}

Result<void> SpillQueue::spill_tail() {
  if (!file_.is_open()) file_ = TRY(space_->open());
  Segment segment{file_.size(), 0, tail_end_};
  const uint64_t first_frame = write_frame_;
  for (size_t at = 0; at < tail_end_; at += options_.frame_bytes) {
    const auto raw =
        std::span<const uint8_t>(tail_).subspan(at, std::min(options_.frame_bytes, tail_end_ - at));
    const size_t stored = codec_->encode(raw, write_frame_, frame_);
    // A refused write leaves the queue as it was: the next try writes the segment anew.
    if (auto written = file_.write_at(segment.offset + segment.stored, frame_.first(stored));
        !written) {
      write_frame_ = first_frame;
      return fail(std::move(written).error());
    }
    segment.stored += stored;
    ++write_frame_;
  }
  spilled_.push_back(segment);
  tail_end_ = 0;
  return {};
}

Result<void> SpillQueue::load_head(Segment segment) {
  const std::string where = "a queue in " + space_->folder();
  FramePlace place{segment.offset, read_frame_};
  const auto read = [&](uint64_t offset, std::span<uint8_t> out) -> Result<const uint8_t*> {
    TRY(file_.read_at(offset, out));
    return out.data();
  };
  for (size_t at = 0; at < segment.raw;)
    at += TRY(read_frame(*codec_, place, segment.offset + segment.stored, frame_,
                         head_.first(segment.raw).subspan(at), read, where))
              .size();
  file_.punch(segment.offset, segment.stored);
  read_frame_ = place.frame;
  head_at_ = 0;
  head_end_ = segment.raw;
  return {};
}

Result<std::optional<Record>> SpillQueue::pop() {
  if (size_ == 0) return std::optional<Record>();
  if (head_at_ == head_end_) {
    if (!spilled_.empty()) {
      TRY(load_head(spilled_.front()));
      spilled_.pop_front();
    } else {
      std::swap(head_, tail_);
      head_at_ = 0;
      head_end_ = std::exchange(tail_end_, 0);
    }
  }
  std::span<const uint8_t> rest = std::span(head_).first(head_end_).subspan(head_at_);
  const auto record = take_record(rest);
  if (!record) return fail_corrupt("a queue in " + space_->folder() + " holds a broken record");
  head_at_ = head_end_ - rest.size();
  --size_;
  return record;
}

}  // namespace spillway
