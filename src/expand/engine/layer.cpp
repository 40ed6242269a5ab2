#include "expand/engine/layer.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "core/disk/corrupt.hpp"

namespace spillway::expand {
namespace {

constexpr uint32_t kMagic = 0x3252594c;  // "LYR2"
constexpr size_t kPendingBytes = size_t{128} << 10;
constexpr size_t kLogBytes = size_t{512} << 10;  // of states in one log frame

struct FrameHeader {
  uint32_t magic;
  uint32_t parents;
  uint32_t states;
  uint32_t ends;              // 0 for packed frames, else = states
  uint32_t bytes;             // of state data
  uint32_t header_checksum;   // XXH3-64 of this header with 0 here, its low half
  uint64_t checksum;          // XXH3-64 of all after the header
  uint64_t parents_checksum;  // of the parents' ends alone, which set_mask() reads
};
static_assert(sizeof(FrameHeader) == 40);

uint32_t checksum_of(FrameHeader header) {
  header.header_checksum = 0;
  return static_cast<uint32_t>(XXH3_64bits(&header, sizeof header));
}

// Padded, so that what a frame holds is aligned wherever the frame is.
size_t body_bytes(const FrameHeader& header) {
  const size_t bytes = size_t{4} * header.parents + size_t{4} * header.ends + header.bytes;
  return (bytes + 7) / 8 * 8;
}

// What can be told without reading on.
bool is_sane(const FrameHeader& header, StateForm form, unsigned width) {
  if (header.magic != kMagic || header.header_checksum != checksum_of(header)) return false;
  if (form == StateForm::kPacked) {
    return header.parents == 0 && header.ends == 0 && header.states <= kFrameStates &&
           header.bytes == header.states * width;
  }
  return header.ends == header.states && header.states <= FrameBuffer::kMaxEnds;
}

size_t mask_words(uint32_t states) { return (states + size_t{63}) / 64; }

// A frame's mask is followed by this. The offset tells it from the mask of another frame.
uint64_t mask_checksum(const void* words, size_t count, uint64_t offset) {
  return XXH3_64bits_withSeed(words, count * 8, offset);
}

// Copies the states that the mask keeps to the front: data into `data`, ends into `ends`. Returns
// how many.
size_t keep_marked(const uint32_t* from_ends, const uint8_t* from, size_t count,
                   std::span<const uint64_t> mask, uint8_t* data, uint32_t* ends, uint32_t first,
                   uint32_t last) {
  size_t kept = 0;
  uint32_t seen = 0;
  uint32_t end = 0;
  for (size_t word = 0; word * 64 < count; ++word) {
    const uint32_t here = static_cast<uint32_t>(std::popcount(mask[word]));
    if (seen + here <= first) {
      seen += here;
      continue;
    }
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      if (seen++ < first) continue;
      if (seen > last) return kept;
      const size_t i = word * 64 + static_cast<size_t>(std::countr_zero(bits));
      const uint32_t begin = i == 0 ? 0 : from_ends[i - 1];
      const uint32_t size = from_ends[i] - begin;
      std::memmove(data + end, from + begin, size);
      end += size;
      ends[kept++] = end;
    }
  }
  return kept;
}

}  // namespace

Segment::Segment(StateForm form, unsigned key_bits, std::unique_ptr<Blob> states,
                 std::unique_ptr<Blob> mask)
    : form_(form), width_((key_bits + 7) / 8), states_(std::move(states)), mask_(std::move(mask)) {}

Result<std::unique_ptr<Segment>> Segment::open(StateForm form, unsigned key_bits,
                                               std::unique_ptr<Blob> states,
                                               std::unique_ptr<Blob> mask,
                                               const std::stop_token& stop) {
  auto segment = std::make_unique<Segment>(form, key_bits, std::move(states), std::move(mask));
  Blob& blob = *segment->states_;
  uint64_t mask_offset = 0;
  std::array<uint8_t, sizeof(FrameHeader)> room;
  std::vector<uint8_t> words(FrameBuffer::kMaxEnds / 8 + 8);
  for (uint64_t offset = 0; offset < blob.size();) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while opening layers");
    const uint64_t left = blob.size() - offset;
    FrameHeader header{};
    if (left >= sizeof header)
      std::memcpy(&header, TRY(blob.read(offset, sizeof header, room)), sizeof header);
    const size_t length = sizeof header + body_bytes(header);
    if (!is_sane(header, form, segment->width_) ||
        length > std::min<uint64_t>(left, Blob::kMaxPiece))
      return fail_corrupt(fmt::format("{}: bad frame at offset {}", blob.path(), offset));
    FrameRef ref{offset,         static_cast<uint32_t>(length),
                 header.parents, header.states,
                 header.states,  mask_offset};
    if (segment->mask_) {
      const size_t count = mask_words(header.states);
      TRY(segment->load_mask(ref, words));
      ref.kept = 0;
      for (size_t i = 0; i < count * 8; ++i)
        ref.kept += static_cast<uint32_t>(std::popcount(words[i]));
      mask_offset += (count + 1) * 8;
    }
    segment->kept_ += ref.kept;
    segment->frames_.push_back(ref);
    offset += length;
  }
  if (segment->mask_ && segment->mask_->size() != mask_offset) {
    return fail_corrupt(
        fmt::format("{}: has another length than its layer", segment->mask_->path()));
  }
  return segment;
}

// The words of a frame's mask to the front of `words`, checked.
Result<void> Segment::load_mask(const FrameRef& frame, std::span<uint8_t> words) const {
  const size_t count = mask_words(frame.states);
  const size_t bytes = (count + 1) * 8;
  if (frame.mask_offset + bytes > mask_->size()) {
    return fail_corrupt(fmt::format("{}: has another length than its layer", mask_->path()));
  }
  const uint8_t* const from = TRY(mask_->read(frame.mask_offset, bytes, words));
  uint64_t checksum;
  std::memcpy(&checksum, from + count * 8, 8);
  if (from != words.data()) {
    std::memcpy(words.data(), from, count * 8);
  } else if (checksum != mask_checksum(from, count, frame.mask_offset)) {
    return fail_corrupt(fmt::format("{}: mask at offset {} does not match its checksum",
                                    mask_->path(), frame.mask_offset));
  }
  return {};
}

Result<void> Segment::append(std::span<const uint64_t> states) {
  while (!states.empty()) {
    if (pending_.empty()) pending_.reserve(kFrameStates);
    const size_t take = std::min(states.size(), kFrameStates - pending_.size());
    pending_.insert(pending_.end(), states.begin(), states.begin() + static_cast<ptrdiff_t>(take));
    states = states.subspan(take);
    if (pending_.size() == kFrameStates) TRY(write_packed());
  }
  return {};
}

Result<void> Segment::append(std::span<const uint8_t> state) {
  if (!pending_ends_.empty() && (pending_bytes_.size() + state.size() > kPendingBytes ||
                                 pending_ends_.size() == kFrameStates)) {
    TRY(write_bytes());
  }
  pending_bytes_.insert(pending_bytes_.end(), state.begin(), state.end());
  pending_ends_.push_back(static_cast<uint32_t>(pending_bytes_.size()));
  return {};
}

Result<void> Segment::finish() {
  if (!pending_.empty()) TRY(write_packed());
  if (!pending_ends_.empty()) TRY(write_bytes());
  pending_ = {};
  pending_bytes_ = {};
  pending_ends_ = {};
  frame_ = {};
  return {};
}

Result<void> Segment::write_packed() {
  std::array<uint8_t, kFrameStates * 8 + 8> bytes;
  for (size_t i = 0; i < pending_.size(); ++i)
    std::memcpy(bytes.data() + i * width_, &pending_[i], 8);
  TRY(write_frame({}, {}, std::span(bytes).first(pending_.size() * width_),
                  static_cast<uint32_t>(pending_.size())));
  pending_.clear();
  return {};
}

Result<void> Segment::write_bytes() {
  TRY(write_frame({}, pending_ends_, pending_bytes_, static_cast<uint32_t>(pending_ends_.size())));
  pending_bytes_.clear();
  pending_ends_.clear();
  return {};
}

Result<void> Segment::write_frame(std::span<const uint32_t> parent_ends,
                                  std::span<const uint32_t> ends, std::span<const uint8_t> data,
                                  uint32_t state_count) {
  FrameHeader header{kMagic,
                     static_cast<uint32_t>(parent_ends.size()),
                     state_count,
                     static_cast<uint32_t>(ends.size()),
                     static_cast<uint32_t>(data.size()),
                     0,
                     0,
                     XXH3_64bits(parent_ends.data(), parent_ends.size_bytes())};
  frame_.assign(sizeof header + body_bytes(header), 0);
  uint8_t* out = frame_.data() + sizeof header;
  const auto put = [&out](const void* from, size_t size) {
    if (size > 0) std::memcpy(out, from, size);
    out += size;
  };
  put(parent_ends.data(), parent_ends.size_bytes());
  put(ends.data(), ends.size_bytes());
  put(data.data(), data.size());
  header.checksum = XXH3_64bits(frame_.data() + sizeof header, frame_.size() - sizeof header);
  header.header_checksum = checksum_of(header);
  std::memcpy(frame_.data(), &header, sizeof header);
  const uint64_t offset = TRY(states_->append(frame_));
  frames_.push_back(FrameRef{offset, static_cast<uint32_t>(frame_.size()), header.parents,
                             state_count, state_count, 0});
  kept_ += state_count;
  return {};
}

Result<void> Segment::append_log(const Successors& successors) {
  std::vector<uint32_t> parent_ends, ends;
  uint32_t parent = 0;
  uint32_t state = 0;
  while (parent < successors.parent_count()) {
    // As many whole parents as fit a frame; one always does (Successors' room is smaller than a
    // frame's).
    const uint32_t first_state = state;
    const uint32_t first_byte = state == 0 ? 0 : successors.ends()[state - 1];
    parent_ends.clear();
    ends.clear();
    while (parent < successors.parent_count()) {
      const uint32_t end = successors.parent_end(parent);
      const uint32_t bytes = end == 0 ? 0 : successors.ends()[end - 1] - first_byte;
      const bool full = bytes > kLogBytes || end - first_state > FrameBuffer::kMaxEnds / 2 ||
                        parent_ends.size() >= FrameBuffer::kMaxEnds / 2;
      if (full && !parent_ends.empty()) break;
      for (; state < end; ++state) ends.push_back(successors.ends()[state] - first_byte);
      parent_ends.push_back(end - first_state);
      ++parent;
    }
    const size_t bytes = ends.empty() ? 0 : ends.back();
    TRY(write_frame(parent_ends, ends, {successors.data() + first_byte, bytes},
                    static_cast<uint32_t>(ends.size())));
  }
  if (successors.parent_count() > 0 || successors.count() == 0) return {};
  // Some successors of a parent whose others follow: a frame without an end of a parent.
  return write_frame({}, successors.ends(), {successors.data(), successors.byte_count()},
                     successors.count());
}

Result<uint64_t> Segment::set_mask(std::span<const uint64_t> marks, std::unique_ptr<Blob> mask,
                                   const std::stop_token& stop) {
  mask_ = std::move(mask);
  kept_ = 0;
  uint64_t barren = 0;
  uint64_t base = 0;
  bool found = false;  // a new successor of the parent at hand, which may have begun frames before
  std::vector<uint64_t> words;
  std::vector<uint8_t> room(FrameBuffer::kMaxEnds * 4 + sizeof(FrameHeader));
  const auto bit = [&](uint64_t at) { return (marks[at / 64] >> (at % 64)) & 1; };
  for (FrameRef& frame : frames_) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while marking a layer");
    words.assign(mask_words(frame.states), 0);
    const unsigned shift = base % 64;
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = marks[base / 64 + i] >> shift;
      if (shift != 0)
        words[i] |= marks[base / 64 + i + 1] << (64 - shift);  // marks has a word to spare
    }
    if (frame.states % 64 != 0) words.back() &= (uint64_t{1} << (frame.states % 64)) - 1;
    frame.kept = 0;
    for (const uint64_t word : words) frame.kept += static_cast<uint32_t>(std::popcount(word));
    words.push_back(mask_checksum(words.data(), words.size(), mask_->size()));
    frame.mask_offset = TRY(
        mask_->append(std::span(reinterpret_cast<const uint8_t*>(words.data()), words.size() * 8)));
    kept_ += frame.kept;

    const size_t ends_bytes = size_t{4} * frame.parents;
    const uint8_t* const at =
        TRY(states_->read(frame.offset, sizeof(FrameHeader) + ends_bytes, room));
    FrameHeader header;
    std::memcpy(&header, at, sizeof header);
    const uint8_t* const ends = at + sizeof header;
    if (at == room.data() && (!is_sane(header, form_, width_) || header.parents != frame.parents ||
                              header.parents_checksum != XXH3_64bits(ends, ends_bytes))) {
      return fail_corrupt(fmt::format("{}: frame at offset {} does not match its checksum",
                                      states_->path(), frame.offset));
    }
    uint32_t begin = 0;
    for (uint32_t parent = 0; parent < frame.parents; ++parent) {
      uint32_t end;
      std::memcpy(&end, ends + size_t{4} * parent, 4);
      for (uint32_t i = begin; i < end && !found; ++i) found = bit(base + i) != 0;
      barren += !std::exchange(found, false);
      begin = end;
    }
    for (uint32_t i = begin; i < frame.states && !found; ++i) found = bit(base + i) != 0;
    base += frame.states;
  }
  return barren;
}

Result<StateBlock> Segment::load(size_t index, uint32_t first, uint32_t last,
                                 FrameBuffer& buffer) const {
  const FrameRef& frame = frames_[index];
  const uint8_t* const at = TRY(states_->read(frame.offset, frame.length, buffer.raw));
  FrameHeader header;
  std::memcpy(&header, at, sizeof header);
  const uint8_t* const body = at + sizeof header;
  const bool from_file = at == buffer.raw.data();
  if (sizeof header + body_bytes(header) != frame.length || header.states != frame.states ||
      (from_file && (!is_sane(header, form_, width_) ||
                     XXH3_64bits(body, frame.length - sizeof header) != header.checksum))) {
    return fail_corrupt(fmt::format("{}: frame at offset {} does not match its checksum",
                                    states_->path(), frame.offset));
  }
  StateBlock block;
  if (form_ == StateForm::kPacked) {
    const uint64_t mask = width_ == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * width_)) - 1;
    for (uint32_t i = first; i < last; ++i) {
      uint64_t state = 0;
      const size_t offset = size_t{i} * width_;
      std::memcpy(&state, body + offset, std::min<size_t>(8, header.bytes - offset));
      buffer.packed[i - first] = state & mask;
    }
    block.packed = buffer.packed.first(last - first);
    return block;
  }
  const uint32_t* const ends = reinterpret_cast<const uint32_t*>(body + size_t{4} * header.parents);
  const uint8_t* const data = body + size_t{4} * header.parents + size_t{4} * header.ends;
  if (frame.kept == frame.states) {
    const uint32_t skip = first == 0 ? 0 : ends[first - 1];
    for (uint32_t i = first; i < last; ++i) buffer.ends[i - first] = ends[i] - skip;
    block.data = data + skip;
    block.ends = buffer.ends.first(last - first);
    return block;
  }
  TRY(load_mask(frame, {reinterpret_cast<uint8_t*>(buffer.mask.data()), buffer.mask.size() * 8}));
  // From a file, states move down within the buffer they were read into; from memory they are
  // copied there.
  uint8_t* const out = from_file ? buffer.raw.data() + (data - at) : buffer.raw.data();
  const size_t kept =
      keep_marked(ends, data, frame.states, buffer.mask, out, buffer.ends.data(), first, last);
  CHECK(kept == last - first);
  block.data = out;
  block.ends = buffer.ends.first(kept);
  return block;
}

}  // namespace spillway::expand
