#include "format/recoded_stream.hpp"

#include <fmt/format.h>
#include <iconv.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::format {
namespace {

constexpr size_t kBuffer = size_t{64} << 10;
constexpr char kNoText = '\xff';

class Recoded final : public ByteStream {
 public:
  Recoded(std::unique_ptr<ByteStream> inner, TextEncoding encoding)
      : inner_(std::move(inner)), encoding_(encoding), buffer_(kBuffer), text_(kBuffer) {}
  ~Recoded() override {
    if (converts_) ::iconv_close(converter_);
  }

  Result<size_t> read(std::span<uint8_t> out) override {
    if (!std::exchange(has_begun_, true)) TRY(begin());
    size_t filled = 0;
    while (filled < out.size()) {
      if (text_at_ == text_end_ && !TRY(more())) break;
      const size_t count = std::min(out.size() - filled, text_end_ - text_at_);
      std::copy_n(text_.begin() + static_cast<ptrdiff_t>(text_at_), count,
                  out.begin() + static_cast<ptrdiff_t>(filled));
      text_at_ += count;
      filled += count;
    }
    return filled;
  }
  const std::string& name() const override { return inner_->name(); }
  uint64_t size() const override { return converts_ ? 0 : inner_->size(); }
  void end_on(const std::stop_token& stop) override { inner_->end_on(stop); }

 private:
  Result<void> begin() {
    TRY(fill());
    const std::string_view first(buffer_.data(), end_);
    const bool little = first.starts_with("\xff\xfe"), big = first.starts_with("\xfe\xff");
    const char* from = nullptr;
    if (little || big) {
      from = little ? "UTF-16LE" : "UTF-16BE";
      unit_ = at_ = 2;
    } else if (first.starts_with("\xef\xbb\xbf") || encoding_ == TextEncoding::kUtf8) {
      return {};
    } else if (encoding_ == TextEncoding::kUtf16) {
      from = "UTF-16LE";
      unit_ = 2;
    } else {
      from = "ISO-8859-1";
    }
    converter_ = ::iconv_open("UTF-8", from);
    converts_ = converter_ != reinterpret_cast<iconv_t>(-1);
    if (converts_) return {};
    return fail(
        Code::kInvalid,
        fmt::format("{}: is {}, which this system cannot convert (iconv); convert it: iconv "
                    "-f {} -t UTF-8",
                    name(), from, from));
  }
  // Behind what is left over.
  Result<void> fill() {
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(at_),
              buffer_.begin() + static_cast<ptrdiff_t>(end_), buffer_.begin());
    end_ -= at_;
    at_ = 0;
    const size_t want = buffer_.size() - end_;
    const size_t got = TRY(inner_->read({reinterpret_cast<uint8_t*>(buffer_.data()) + end_, want}));
    end_ += got;
    has_ended_ = got < want;
    return {};
  }
  // Text into text_; false at the end.
  Result<bool> more() {
    text_at_ = text_end_ = 0;
    while (text_end_ == 0) {
      if (at_ == end_ && !has_ended_) TRY(fill());
      if (at_ == end_) return false;
      if (converts_)
        TRY(convert());
      else
        hand_on();
    }
    return true;
  }
  void hand_on() {
    std::swap(text_, buffer_);
    text_at_ = std::exchange(at_, 0);
    text_end_ = std::exchange(end_, 0);
  }
  Result<void> convert() {
    char* from = buffer_.data() + at_;
    size_t left = end_ - at_;
    char* to = text_.data();
    size_t room = text_.size() - 1;  // for kNoText
    const bool failed = ::iconv(converter_, &from, &left, &to, &room) == static_cast<size_t>(-1);
    const int why = failed ? errno : 0;
    at_ = end_ - left;
    if (why == EINVAL && !has_ended_) {
      TRY(fill());  // the last character goes on there
    } else if (why == EINVAL || why == EILSEQ) {
      *to++ = kNoText;
      at_ += std::min(unit_, left);
    }
    text_end_ = static_cast<size_t>(to - text_.data());
    return {};
  }

  const std::unique_ptr<ByteStream> inner_;
  const TextEncoding encoding_;
  std::vector<char> buffer_, text_;
  size_t at_ = 0, end_ = 0, text_at_ = 0, text_end_ = 0;
  size_t unit_ = 1;  // bytes of what is passed over when it is no text
  iconv_t converter_{};
  bool has_begun_ = false, has_ended_ = false, converts_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> as_utf8(std::unique_ptr<ByteStream> stream, TextEncoding encoding) {
  return std::make_unique<Recoded>(std::move(stream), encoding);
}

}  // namespace spillway::format
