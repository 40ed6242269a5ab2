#include "export/block/gzip.hpp"

#include <isa-l/igzip_lib.h>
#include <libdeflate.h>

#include <algorithm>
#include <vector>

#include "core/result.hpp"

namespace spillway::exporter {
namespace {

class IsaL final : public Gzip {
 public:
  size_t compress(std::span<const uint8_t> bytes, std::span<uint8_t> out) override {
    CHECK(out.size() >= bound(bytes.size()) && bytes.size() <= UINT32_MAX);
    isal_deflate_stateless_init(&stream_);
    stream_.level = 1;
    stream_.level_buf = buffer_.data();
    stream_.level_buf_size = static_cast<uint32_t>(buffer_.size());
    stream_.gzip_flag = IGZIP_GZIP;
    stream_.end_of_stream = 1;
    stream_.flush = NO_FLUSH;
    stream_.next_in = const_cast<uint8_t*>(bytes.data());  // it only reads
    stream_.avail_in = static_cast<uint32_t>(bytes.size());
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uint32_t>(std::min<size_t>(out.size(), UINT32_MAX));
    CHECK(isal_deflate_stateless(&stream_) == COMP_OK && stream_.avail_in == 0);
    return stream_.total_out;
  }

 private:
  isal_zstream stream_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(ISAL_DEF_LVL1_DEFAULT);
};

class Deflate final : public Gzip {
 public:
  explicit Deflate(unsigned level)
      : compressor_(libdeflate_alloc_compressor(static_cast<int>(level))) {
    CHECK(compressor_ != nullptr);
  }
  ~Deflate() override { libdeflate_free_compressor(compressor_); }
  size_t compress(std::span<const uint8_t> bytes, std::span<uint8_t> out) override {
    const size_t made =
        libdeflate_gzip_compress(compressor_, bytes.data(), bytes.size(), out.data(), out.size());
    CHECK(made > 0);
    return made;
  }

 private:
  libdeflate_compressor* const compressor_;
};

}  // namespace

std::unique_ptr<Gzip> Gzip::create(unsigned level) {
  CHECK(level >= kFastest && level <= kSmallest);
  if (level == kFastest) return std::make_unique<IsaL>();
  return std::make_unique<Deflate>(level);
}

}  // namespace spillway::exporter
