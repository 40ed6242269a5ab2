#include "core/disk/frame.hpp"

#include <fmt/format.h>
#define LZ4_STATIC_LINKING_ONLY
#include <lz4.h>
#include <xxhash.h>

#include <cstring>

#include "core/disk/corrupt.hpp"

namespace spillway {
namespace {

constexpr uint32_t kMagic = 0x31465053;  // "SPF1"
constexpr unsigned kUntried = 15;

struct Layout {
  uint32_t magic;
  uint32_t raw;
  uint32_t stored;
  uint32_t codec;
  uint64_t sequence;
  uint64_t checksum;
};
static_assert(sizeof(Layout) == FrameCodec::kHeaderBytes);

uint64_t checksum_of(const Layout& header, const uint8_t* payload) {
  const uint64_t seed = XXH3_64bits(&header, offsetof(Layout, checksum));
  return XXH3_64bits_withSeed(payload, header.stored, seed);
}

tl::unexpected<Error> corrupt(const std::string& where, uint64_t sequence, const char* what) {
  return fail_corrupt(fmt::format("{}: frame {}: {}", where, sequence, what));
}

}  // namespace

Bytes FrameCodec::workspace(Codec codec) {
  return Bytes(codec == Codec::kLz4 ? static_cast<uint64_t>(LZ4_sizeofState()) : 0);
}

FrameCodec::FrameCodec(Codec codec, size_t max_raw) : codec_(codec), max_raw_(max_raw) {
  CHECK(max_raw > 0 && max_raw <= kMaxRaw);
  // As malloc aligns it, which is what LZ4 wants of its state.
  if (codec == Codec::kLz4)
    state_ = std::make_unique_for_overwrite<uint8_t[]>(workspace(codec).count());
}

size_t FrameCodec::encode(std::span<const uint8_t> raw, uint64_t sequence, std::span<uint8_t> out) {
  CHECK(!raw.empty() && raw.size() <= max_raw_ && out.size() >= frame_room(raw.size()));
  uint8_t* const payload = out.data() + kHeaderBytes;
  const size_t worth = raw.size() - raw.size() / 20;
  size_t stored = 0;
  const bool tries = untried_ == 0;
  if (!tries) {
    --untried_;
  } else if (codec_ == Codec::kLz4) {
    const int got = LZ4_compress_fast_extState(
        state_.get(), reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(payload),
        static_cast<int>(raw.size()), static_cast<int>(worth), 1);
    stored = static_cast<size_t>(got);
  }
  if (tries && codec_ != Codec::kStored && (stored == 0 || stored > raw.size() - raw.size() / 4))
    untried_ = kUntried;
  Layout header{kMagic,
                static_cast<uint32_t>(raw.size()),
                static_cast<uint32_t>(stored),
                static_cast<uint32_t>(codec_),
                sequence,
                0};
  if (stored == 0) {  // it would not fit: not worth it
    std::memcpy(payload, raw.data(), raw.size());
    header.stored = header.raw;
    header.codec = static_cast<uint32_t>(Codec::kStored);
  }
  header.checksum = checksum_of(header, payload);
  std::memcpy(out.data(), &header, sizeof header);
  return kHeaderBytes + header.stored;
}

Result<FrameCodec::Header> FrameCodec::header(std::span<const uint8_t, kHeaderBytes> bytes,
                                              uint64_t sequence, const std::string& where) const {
  Layout header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic) return corrupt(where, sequence, "is not a frame");
  if (header.raw == 0 || header.raw > max_raw_ || header.stored == 0 ||
      header.stored > header.raw) {
    return corrupt(where, sequence, "has an impossible length");
  }
  const bool stored = header.codec == static_cast<uint32_t>(Codec::kStored);
  if (stored ? header.stored != header.raw : header.codec != static_cast<uint32_t>(codec_))
    return corrupt(where, sequence, "has an unknown codec");
  if (header.sequence != sequence) return corrupt(where, sequence, "is another one");
  return Header{header.raw, header.stored, static_cast<Codec>(header.codec)};
}

Result<std::span<const uint8_t>> FrameCodec::decode(std::span<const uint8_t> frame,
                                                    uint64_t sequence, std::span<uint8_t> out,
                                                    const std::string& where) {
  if (frame.size() < kHeaderBytes) return corrupt(where, sequence, "is cut short");
  const Header told = TRY(header(frame.first<kHeaderBytes>(), sequence, where));
  if (frame.size() - kHeaderBytes < told.stored) return corrupt(where, sequence, "is cut short");
  const std::span<const uint8_t> payload = frame.subspan(kHeaderBytes, told.stored);
  Layout header;
  std::memcpy(&header, frame.data(), sizeof header);
  if (checksum_of(header, payload.data()) != header.checksum)
    return corrupt(where, sequence, "does not match its checksum");
  if (told.codec == Codec::kStored) return payload;
  CHECK(out.size() >= told.raw);
  const int got = LZ4_decompress_safe(reinterpret_cast<const char*>(payload.data()),
                                      reinterpret_cast<char*>(out.data()),
                                      static_cast<int>(payload.size()), static_cast<int>(told.raw));
  if (got != static_cast<int>(told.raw)) return corrupt(where, sequence, "does not unpack");
  return std::span<const uint8_t>(out.data(), told.raw);
}

}  // namespace spillway
