// The least that gzip blocks to Arrow shards can cost: each payload of a blocks stream through libdeflate
// and zstd-3 with a checksum, one thread, nothing mapped, sorted or written.
//
//   plain_export STREAM
#include <libdeflate.h>
#include <zstd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

int main(int argc, char** argv) {
  std::FILE* const file = argc == 2 ? std::fopen(argv[1], "rb") : nullptr;
  if (file == nullptr) {
    std::fprintf(stderr, "usage: plain_export STREAM\n");
    return 2;
  }
  std::setvbuf(file, nullptr, _IOFBF, size_t{1} << 20);
  libdeflate_decompressor* const inflate = libdeflate_alloc_decompressor();
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 3);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::vector<uint8_t> payload(4 << 20), block(4 << 20), frame(ZSTD_compressBound(4 << 20));
  uint64_t blocks = 0, in = 0, out = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int32_t head[4]; std::fread(head, 16, 1, file) == 1; ++blocks) {
    const auto length = static_cast<size_t>(head[3]);
    if (head[3] < 0 || length > payload.size() ||
        std::fread(payload.data(), 1, length, file) != length)
      return 1;
    size_t made = 0;
    if (libdeflate_gzip_decompress(inflate, payload.data(), length, block.data(), block.size(),
                                   &made) != LIBDEFLATE_SUCCESS)
      return 1;
    const size_t packed = ZSTD_compress2(context, frame.data(), frame.size(), block.data(), made);
    if (ZSTD_isError(packed) != 0) return 1;
    in += length;
    out += packed;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("blocks %lu bytes %lu to %lu seconds %.3f\n", static_cast<unsigned long>(blocks),
              static_cast<unsigned long>(in), static_cast<unsigned long>(out), seconds);
  return 0;
}
