#include "format/unpacked_stream.hpp"

#include <bzlib.h>
#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace spillway::format {
namespace {

constexpr int kMostWindow = 23;  // log2 of its bytes

// One codec: takes from the front of `in`, puts to the front of `out`.
class Decoder {
 public:
  enum class At { kWithin, kEnd };  // kEnd: of a stream; the next begins anew
  virtual ~Decoder() = default;
  // What is wrong as text, in `problem`, when something is.
  virtual At step(std::span<uint8_t>& in, std::span<uint8_t>& out, std::string& problem) = 0;
};

class Bzip2 final : public Decoder {
 public:
  ~Bzip2() override {
    if (is_open_) ::BZ2_bzDecompressEnd(&stream_);
  }
  At step(std::span<uint8_t>& in, std::span<uint8_t>& out, std::string& problem) override {
    if (!is_open_) {
      stream_ = {};
      is_open_ = ::BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK;
      if (!is_open_) {
        problem = "no memory for it";
        return At::kWithin;
      }
    }
    constexpr size_t kMost = size_t{1} << 30;
    stream_.next_in = reinterpret_cast<char*>(in.data());
    stream_.avail_in = static_cast<unsigned>(std::min(in.size(), kMost));
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(std::min(out.size(), kMost));
    const unsigned had_in = stream_.avail_in, had_out = stream_.avail_out;
    const int status = ::BZ2_bzDecompress(&stream_);
    in = in.subspan(had_in - stream_.avail_in);
    out = out.subspan(had_out - stream_.avail_out);
    if (status == BZ_STREAM_END) {
      ::BZ2_bzDecompressEnd(&stream_);
      is_open_ = false;
      return At::kEnd;
    }
    if (status != BZ_OK) problem = "is damaged";
    return At::kWithin;
  }

 private:
  bz_stream stream_{};
  bool is_open_ = false;
};

class Zstd final : public Decoder {
 public:
  Zstd() : context_(::ZSTD_createDCtx()) {
    if (context_ != nullptr) ::ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMostWindow);
  }
  ~Zstd() override { ::ZSTD_freeDCtx(context_); }
  At step(std::span<uint8_t>& in, std::span<uint8_t>& out, std::string& problem) override {
    if (context_ == nullptr) {
      problem = "no memory for it";
      return At::kWithin;
    }
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const size_t status = ::ZSTD_decompressStream(context_, &to, &from);
    in = in.subspan(from.pos);
    out = out.subspan(to.pos);
    if (::ZSTD_isError(status) != 0) {
      const bool large = ::ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge;
      problem = large ? "was packed with a window above 8 MiB; pack it again without --long and "
                        "--ultra"
                      : ::ZSTD_getErrorName(status);
    }
    return status == 0 ? At::kEnd : At::kWithin;
  }

 private:
  ZSTD_DCtx* context_;
};

class UnpackedStream final : public ByteStream {
 public:
  UnpackedStream(std::unique_ptr<ByteStream> inner, Unpack packing, Lease lease)
      : lease_(std::move(lease)),
        inner_(std::move(inner)),
        format_(packing == Unpack::kZstd ? "zstd" : "bzip2"),
        buffer_(size_t{64} << 10) {
    if (packing == Unpack::kZstd)
      decoder_ = std::make_unique<Zstd>();
    else
      decoder_ = std::make_unique<Bzip2>();
  }

  Result<size_t> read(std::span<uint8_t> out) override {
    std::span<uint8_t> room = out;
    while (!room.empty()) {
      if (in_.empty() && !has_ended_) TRY(fill());
      if (where_ != Where::kWithin && in_.empty()) break;
      if (where_ != Where::kWithin && !TRY(next_stream())) continue;
      // At the end of the input it may still hold output; then it must come to an end of its own.
      const size_t had = room.size() + in_.size();
      std::string problem;
      const auto at = decoder_->step(in_, room, problem);
      if (!problem.empty()) return damaged(problem);
      if (at == Decoder::At::kEnd)
        where_ = Where::kBetween;
      else if (has_ended_ && room.size() + in_.size() == had)
        return damaged("ends too early: the file is cut short");
    }
    return out.size() - room.size();
  }
  const std::string& name() const override { return inner_->name(); }
  void end_on(const std::stop_token& stop) override { inner_->end_on(stop); }

 private:
  enum class Where { kWithin, kBetween, kPadding };
  Result<void> fill() {
    const size_t got = TRY(inner_->read(buffer_));
    has_ended_ = got < buffer_.size();
    consumed_ += got;
    in_ = std::span(buffer_).first(got);
    return {};
  }
  // Behind a stream: whether another begins at the next byte. Zeros are passed over.
  Result<bool> next_stream() {
    while (!in_.empty() && in_[0] == 0) {
      where_ = Where::kPadding;
      in_ = in_.subspan(1);
    }
    if (in_.empty()) return false;
    if (where_ == Where::kPadding) return damaged("bytes behind it that are no zeros");
    where_ = Where::kWithin;
    return true;
  }
  tl::unexpected<Error> damaged(std::string_view how) const {
    return fail(Code::kInvalid,
                fmt::format("{}: {} at byte {}: {}", name(), format_, consumed_ - in_.size(), how));
  }

  const Lease lease_;
  const std::unique_ptr<ByteStream> inner_;
  const std::string_view format_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<uint8_t> buffer_;
  std::span<uint8_t> in_;
  uint64_t consumed_ = 0;
  bool has_ended_ = false;
  Where where_ = Where::kWithin;
};

}  // namespace

Bytes unpacking_cost(Unpack packing) { return packing == Unpack::kZstd ? 9_MiB : 4_MiB; }

Result<std::unique_ptr<ByteStream>> unpacked(std::unique_ptr<ByteStream> packed, Unpack packing,
                                             Account& account) {
  auto lease = account.try_acquire(unpacking_cost(packing));
  if (!lease) {
    return fail(Code::kMemoryLimit,
                fmt::format("{}: unpacking takes {}; raise --memory", packed->name(),
                            to_string(unpacking_cost(packing))));
  }
  return std::make_unique<UnpackedStream>(std::move(packed), packing, std::move(*lease));
}

}  // namespace spillway::format
