// Frames of partitions, spills, runs and layers: any bytes are refused or read, within their bounds.
//
// The first byte says which reader; for runs also whether checksums are made right first, so that
// what lies behind them is reached.
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/disk/frame.hpp"
#include "core/records/partitioner.hpp"
#include "core/records/sorted_run.hpp"
#include "core/test_folder.hpp"
#include "expand/engine/layer.hpp"
#include "fuzz.hpp"

using namespace spillway;
using namespace spillway::expand;

namespace {

struct Place {
  TestFolder folder;
  std::shared_ptr<ScratchSpace> space = *ScratchSpace::create({folder.path(), 1_GiB, true});

  // A file with these bytes, as a checkpoint would have left it.
  std::unique_ptr<Blob> blob(const char* name, std::span<const uint8_t> bytes) const {
    const std::string path = folder.path() + "/" + name;
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    ::close(fd);
    auto opened = Blob::open(path, bytes.size(), space);
    MUST(opened);
    (*opened)->let_go();  // removed again
    return std::move(*opened);
  }
};

void read_partition(std::span<const uint8_t> extent) {
  size_t at = 0;
  while (const auto frame = Partitioner::parse_frame(extent, at)) {
    MUST(frame->data() + frame->size() <= extent.data() + extent.size());
    MUST(at <= extent.size());
  }
}

void read_spill(Codec kind, std::span<const uint8_t> bytes) {
  FrameCodec codec(kind, 4096);
  std::vector<uint8_t> out(4096);
  const auto raw = codec.decode(bytes, 0, out, "spill");
  if (raw) MUST(raw->size() <= 4096);
  // And what was written is read.
  if (bytes.empty() || bytes.size() > 4096) return;
  std::vector<uint8_t> frame(FrameCodec::frame_room(bytes.size()));
  const size_t length = codec.encode(bytes, 7, frame);
  const auto again = codec.decode(std::span(frame).first(length), 7, out, "spill");
  MUST(again && std::vector<uint8_t>(again->begin(), again->end()) ==
                    std::vector<uint8_t>(bytes.begin(), bytes.end()));
}

// Makes the checksums of the first block of a run right (docs/formats.md).
void heal(std::vector<uint8_t>& run) {
  if (run.size() < 48) return;
  uint32_t count, payload;
  uint64_t first;
  std::memcpy(&count, run.data() + 4, 4);
  payload = static_cast<uint32_t>(run.size() - 48);
  std::memcpy(run.data() + 8, &payload, 4);
  std::memcpy(&first, run.data() + 16, 8);
  const uint64_t checksum = XXH3_64bits_withSeed(run.data() + 48, payload, first ^ count);
  std::memcpy(run.data() + 32, &checksum, 8);
  const uint64_t header = XXH3_64bits(run.data(), 40);
  std::memcpy(run.data() + 40, &header, 8);
}

template <class K>
void read_run(const Place& place, std::span<const uint8_t> bytes) {
  const auto budget = Budget::create(1_MiB);
  const auto run = SortedRun<K>::open(place.blob("run-0", bytes), 8, *budget->open({"index", 1}));
  if (!run) {
    MUST(run.error().code() == Code::kCorrupt);
    return;
  }
  std::vector<K> keys(kBlockKeys);
  std::vector<uint8_t> raw(kMaxBlockBytes);
  for (size_t block = 0; block < (*run)->fences().size(); ++block) {
    const auto count = (*run)->decode(block, keys, raw);
    MUST(count ? *count <= kBlockKeys : count.error().code() == Code::kCorrupt);
  }
}

void read_layer(const Place& place, StateForm form, std::span<const uint8_t> bytes) {
  static std::vector<uint8_t> raw(Blob::kMaxPiece);
  static std::vector<uint64_t> packed(kFrameStates), mask(FrameBuffer::kMaxEnds / 64 + 1);
  static std::vector<uint32_t> ends(FrameBuffer::kMaxEnds);
  const auto segment = Segment::open(form, 20, place.blob("layer-0", bytes), nullptr);
  if (!segment) {
    MUST(segment.error().code() == Code::kCorrupt);
    return;
  }
  FrameBuffer buffer{raw, packed, ends, mask};
  for (size_t frame = 0; frame < (*segment)->frames().size(); ++frame) {
    const auto block = (*segment)->load(frame, 0, (*segment)->frames()[frame].kept, buffer);
    MUST(block || block.error().code() == Code::kCorrupt);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Place place;
  if (size < 1) return 0;
  std::vector<uint8_t> bytes(data + 1, data + size);
  switch (data[0] % 10) {
    case 0:
      read_partition(bytes);
      break;
    case 1:
    case 2:
    case 3:
      read_spill(static_cast<Codec>(data[0] % 10 - 1), bytes);
      break;
    case 4:
    case 5:
      heal(bytes);
      [[fallthrough]];
    case 6:
    case 7:
      data[0] % 2 == 0 ? read_run<Key64>(place, bytes) : read_run<Key128>(place, bytes);
      break;
    default:
      read_layer(place, data[0] % 2 == 0 ? StateForm::kPacked : StateForm::kBytes, bytes);
  }
  return 0;
}
