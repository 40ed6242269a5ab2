// The info of a precomputed volume, up to a zero byte, and behind it the bytes of every shard and every
// chunk file of it: any are chunks inside the volume, each once, that decode or not, or an error.
#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "core/memory/budget.hpp"
#include "export/block/chunk_format.hpp"
#include "export/source/chunk_reader.hpp"
#include "fuzz.hpp"

namespace {

using namespace spillway;
using namespace spillway::exporter;

// Has the same bytes under the first two names that are asked for.
class Store final : public VolumeStore {
 public:
  explicit Store(std::span<const uint8_t> bytes) : VolumeStore("fuzz"), bytes_(bytes) {}
  Result<std::optional<size_t>> read(const std::string& name, uint64_t offset,
                                     std::span<uint8_t> out, const std::stop_token&) override {
    names_.insert(name);
    if (names_.size() > 2) return std::optional<size_t>();
    const size_t at = std::min<uint64_t>(offset, bytes_.size());
    const size_t count = std::min(out.size(), bytes_.size() - at);
    if (count > 0) std::memcpy(out.data(), bytes_.data() + at, count);
    return std::optional(count);
  }
  Result<std::optional<Whole>> read_whole(const std::string& name, std::span<uint8_t> out,
                                          const std::stop_token& stop) override {
    if (bytes_.size() > out.size()) return fail(Code::kTooLarge, "long");
    const auto count = TRY(read(name, 0, out, stop));
    if (!count) return std::optional<Whole>();
    Whole whole{.bytes = *count};
    if (!bytes_.empty() && bytes_[0] % 4 == 3) whole.packing = Packing::kBrotli;
    return std::optional(whole);
  }

 private:
  const std::span<const uint8_t> bytes_;
  std::set<std::string> names_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all = text_of({data, size});
  const size_t end = std::min(all.find('\0'), size);
  const auto spec = VolumeSpec::parse(all.substr(0, end), "info", VolumeSpec::Use::kSource);
  (void)VolumeSpec::parse(all.substr(0, end), "info");
  if (!spec) {
    MUST(!spec.error().message().empty());
    return 0;
  }
  const auto bytes = std::span(data, size).subspan(std::min(end + 1, size));
  const Scale& scale = spec->scales.front();
  const Bytes room = ChunkReader::room(*spec, scale);
  uint64_t places = 1;
  for (const uint64_t count : ChunkGrid(scale).counts())
    places *= std::min<uint64_t>(count, 1 << 20);
  if (room > Bytes(uint64_t{64} << 20) || places > 4096) return 0;
  if (scale.sharding && scale.sharding->minishard_bits + scale.sharding->shard_bits > 10) return 0;
  auto budget = Budget::create(Bytes(uint64_t{256} << 20));
  auto account = budget->open({"read", 1, Bytes(0), std::nullopt});
  MUST(account);
  auto lease = account->acquire(room + Bytes(Unpacker::brotli_room(1 << 20)), std::stop_token());
  MUST(lease);
  auto reader = ChunkReader::open(std::make_unique<Store>(bytes), *spec, scale, std::move(*lease));
  if (!reader) return 0;
  std::set<std::array<uint64_t, 3>> seen;
  while (true) {
    const auto chunk = (*reader)->next(std::stop_token());
    if (!chunk) {
      MUST(!chunk.error().message().empty());
      return 0;
    }
    if (!*chunk) return 0;
    for (size_t d = 0; d < 3; ++d) {
      MUST((*chunk)->at[d] < ChunkGrid(scale).counts()[d]);
      MUST((*chunk)->extent[d] >= 1 && (*chunk)->extent[d] <= scale.chunk[d]);
    }
    MUST(seen.insert((*chunk)->at).second);
    const size_t voxels = size_t{scale.chunk[0]} * scale.chunk[1] * scale.chunk[2];
    if (voxels > (1 << 18)) continue;
    std::vector<uint64_t> out(voxels);
    (void)decode_chunk(ChunkFormat::of(*spec, scale), (*chunk)->bytes, (*chunk)->extent,
                       scale.chunk, out);
  }
}
