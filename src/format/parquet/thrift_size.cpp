#include "format/parquet/thrift_size.hpp"

#include <array>

namespace spillway::format {
namespace {

constexpr size_t kMostDepth = 64;           // Thrift's own limit
constexpr uint64_t kStructBytes = 1 << 10;  // of a list: a column chunk, the largest, is below that
constexpr uint64_t kItemBytes = 64;         // of a list: a string and its place
constexpr uint64_t kByteFactor = 3;         // texts, and what is made of them

enum Type : uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kInt16 = 4,
  kInt32 = 5,
  kInt64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
  kUuid = 13
};

class Walk {
 public:
  explicit Walk(std::span<const uint8_t> bytes) : rest_(bytes) {}

  Result<Bytes> run() {
    const uint64_t size = rest_.size();
    TRY(push(Frame{.is_struct = true}));
    while (depth_ > 0) TRY(step(frames_[depth_ - 1]));
    return Bytes(kByteFactor * size + kStructBytes * structs_ + kItemBytes * items_);
  }

 private:
  // A structure, or the items left of a list or map (its two types in turn).
  struct Frame {
    bool is_struct = false;
    uint64_t left = 0;
    std::array<uint8_t, 2> types{};
  };

  Result<void> step(Frame& frame) {
    if (!frame.is_struct) {
      if (frame.left == 0) {
        --depth_;
        return {};
      }
      const uint8_t type = frame.types[frame.left-- % 2];
      // A bool of a list is a byte.
      return value(type == kTrue || type == kFalse ? uint8_t{kByte} : type);
    }
    const uint8_t head = TRY(byte());
    if (head == kStop) {
      --depth_;
      return {};
    }
    if (head >> 4 == 0) TRY(varint());
    return value(head & 15);
  }

  Result<void> value(uint8_t type) {
    switch (type) {
      case kTrue:
      case kFalse:
        return {};
      case kByte:
        return skip(1);
      case kInt16:
      case kInt32:
      case kInt64:
        TRY(varint());
        return {};
      case kDouble:
        return skip(8);
      case kUuid:
        return skip(16);
      case kBinary:
        return skip(TRY(varint()));
      case kList:
      case kSet: {
        const uint8_t head = TRY(byte());
        const uint64_t count = head >> 4 == 15 ? TRY(varint()) : uint64_t{head} >> 4;
        const uint8_t item = head & 15;
        return list(count, {item, item});
      }
      case kMap: {
        const uint64_t count = TRY(varint());
        if (count == 0) return {};
        if (count > rest_.size()) return bad("a map longer than what is left");
        const uint8_t types = TRY(byte());
        // Odd places left are keys' values: an even count begins with a key.
        return list(2 * count,
                    {static_cast<uint8_t>(types >> 4), static_cast<uint8_t>(types & 15)});
      }
      case kStruct:
        return push(Frame{.is_struct = true});
      default:
        return bad("an unknown type");
    }
  }

  Result<void> list(uint64_t count, std::array<uint8_t, 2> types) {
    if (count > rest_.size()) return bad("a list longer than what is left");
    (types[0] == kStruct || types[1] == kStruct ? structs_ : items_) += count;
    return push(Frame{.left = count, .types = types});
  }
  Result<void> push(Frame frame) {
    if (depth_ == kMostDepth) return bad("nested too deeply");
    frames_[depth_++] = frame;
    return {};
  }
  Result<uint8_t> byte() {
    if (rest_.empty()) return bad("cut short");
    const uint8_t first = rest_[0];
    rest_ = rest_.subspan(1);
    return first;
  }
  Result<uint64_t> varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t next = TRY(byte());
      value |= uint64_t{next & 127u} << shift;
      if (next < 128) return value;
    }
    return bad("a number without end");
  }
  Result<void> skip(uint64_t count) {
    if (count > rest_.size()) return bad("cut short");
    rest_ = rest_.subspan(count);
    return {};
  }
  static tl::unexpected<Error> bad(const char* what) { return fail(Code::kCorrupt, what); }

  std::span<const uint8_t> rest_;
  std::array<Frame, kMostDepth> frames_;
  size_t depth_ = 0;
  uint64_t structs_ = 0, items_ = 0;
};

}  // namespace

Result<Bytes> decoded_thrift_size(std::span<const uint8_t> bytes) { return Walk(bytes).run(); }

}  // namespace spillway::format
