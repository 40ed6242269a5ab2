#include "export/source/unpacker.hpp"

#include <brotli/decode.h>
#include <fmt/format.h>
#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <string>

#include "format/known_format.hpp"

namespace spillway::exporter {
namespace {

tl::unexpected<Error> bad(const std::string& what) { return fail(Code::kInvalid, what); }

// What brotli allocates, one behind the other: a decoder's tables and windows that grow.
struct Arena {
  std::span<uint8_t> room;
  size_t used = 0;
  bool is_full = false;

  static void* take(void* self_pointer, size_t size) {
    auto* const self = static_cast<Arena*>(self_pointer);
    const size_t rounded = (size + 15) / 16 * 16;
    if (rounded < size || rounded > self->room.size() - self->used) {
      self->is_full = true;
      return nullptr;
    }
    void* const at = self->room.data() + self->used;
    self->used += rounded;
    return at;
  }
  static void give(void*, void*) {}
};

}  // namespace

Packing packing_of(std::span<const uint8_t> bytes) {
  const auto format =
      format::known_format(bytes.first(std::min(bytes.size(), format::kFormatBytes)));
  return format == "gzip" ? Packing::kGzip : format == "zstd" ? Packing::kZstd : Packing::kNone;
}

struct Unpacker::State {
  libdeflate_decompressor* const inflate = libdeflate_alloc_decompressor();
  ZSTD_DCtx* const zstd = ZSTD_createDCtx();
  State() { CHECK(inflate != nullptr && zstd != nullptr); }
  ~State() {
    libdeflate_free_decompressor(inflate);
    ZSTD_freeDCtx(zstd);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

size_t Unpacker::brotli_room(size_t bytes) {
  // The window, at most the size of what comes out of it, and the smaller ones it grew from.
  return 2 * std::bit_ceil(bytes + 64) + (size_t{1} << 20);
}

Unpacker::Unpacker() : state_(std::make_unique<State>()) {}
Unpacker::~Unpacker() = default;

Result<size_t> Unpacker::unpack(Packing packing, std::span<const uint8_t> packed,
                                std::span<uint8_t> out) {
  switch (packing) {
    case Packing::kGzip:
      return gzip(packed, out);
    case Packing::kZstd:
      return zstd(packed, out);
    case Packing::kBrotli:
      return brotli(packed, out);
    case Packing::kNone:
      break;
  }
  return bad("is not packed");
}

Result<size_t> Unpacker::gzip(std::span<const uint8_t> packed, std::span<uint8_t> out) {
  size_t used = 0, made = 0;
  const auto status = libdeflate_gzip_decompress_ex(state_->inflate, packed.data(), packed.size(),
                                                    out.data(), out.size(), &used, &made);
  if (status == LIBDEFLATE_INSUFFICIENT_SPACE)
    return bad(fmt::format("gzip: more than {} bytes", out.size()));
  if (status != LIBDEFLATE_SUCCESS) return bad("gzip: damaged");
  if (used != packed.size())
    return bad(fmt::format("gzip: {} bytes behind it", packed.size() - used));
  return made;
}

Result<size_t> Unpacker::zstd(std::span<const uint8_t> packed, std::span<uint8_t> out) {
  const size_t made =
      ZSTD_decompressDCtx(state_->zstd, out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(made) != 0)
    return bad(fmt::format("zstd: {}, of at most {} bytes", ZSTD_getErrorName(made), out.size()));
  return made;
}

Result<size_t> Unpacker::brotli(std::span<const uint8_t> packed, std::span<uint8_t> out) {
  if (arena_.empty()) return bad("brotli, among chunks that are packed otherwise: unpack it first");
  Arena arena{arena_};
  BrotliDecoderState* const decoder =
      BrotliDecoderCreateInstance(&Arena::take, &Arena::give, &arena);
  if (decoder == nullptr) return bad("brotli: no room for its decoder");
  size_t in_left = packed.size(), out_left = out.size();
  const uint8_t* in = packed.data();
  uint8_t* to = out.data();
  const auto result =
      BrotliDecoderDecompressStream(decoder, &in_left, &in, &out_left, &to, nullptr);
  BrotliDecoderDestroyInstance(decoder);
  if (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT)
    return bad(fmt::format("brotli: more than {} bytes", out.size()));
  if (result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return bad("brotli: ends too early");
  if (result != BROTLI_DECODER_RESULT_SUCCESS)
    return bad(arena.is_full ? "brotli: a window larger than the chunk" : "brotli: damaged");
  if (in_left > 0) return bad(fmt::format("brotli: {} bytes behind it", in_left));
  return out.size() - out_left;
}

}  // namespace spillway::exporter
