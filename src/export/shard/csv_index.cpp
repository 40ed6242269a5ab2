#include "export/shard/csv_index.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace spillway::exporter {
namespace {

constexpr std::string_view kSchemaSize = "# schema_size=";
constexpr size_t kRead = 65536, kLongestLine = 4096;

}  // namespace

Result<CsvIndex> CsvIndex::open(const std::string& path) {
  CsvIndex index;
  index.path_ = path;
  index.source_ = TRY(open_input(path, ByteStream::Gzip::kNever));
  const std::string first = TRY(index.line());
  if (!first.starts_with(kSchemaSize)) return index.bad("no schema_size");
  const char* const end = first.data() + first.size();
  const auto [at, error] =
      std::from_chars(first.data() + kSchemaSize.size(), end, index.schema_size_);
  if (error != std::errc() || at != end) return index.bad("no schema_size");
  if (TRY(index.line()) != "x,y,z,offset,size,batch_idx") return index.bad("another header");
  return index;
}

Result<void> CsvIndex::expect_schema(uint64_t schema_size) const {
  if (schema_size == schema_size_) return {};
  return fail(Code::kInvalid, fmt::format("{}: line 1: schema_size {}, the schema has {} bytes",
                                          path_, schema_size_, schema_size));
}

Result<void> CsvIndex::expect(const ArrowRow& row) {
  const std::string text = TRY(line());
  if (text.empty()) return bad("ends before the Arrow file does");
  const std::array<int64_t, 6> wanted{row.at[0],
                                      row.at[1],
                                      row.at[2],
                                      static_cast<int64_t>(row.message.offset),
                                      static_cast<int64_t>(row.message.size),
                                      static_cast<int64_t>(row.number)};
  static constexpr const char* kColumns[] = {"x", "y", "z", "offset", "size", "batch_idx"};
  const char *from = text.data(), *const end = text.data() + text.size();
  for (size_t i = 0; i < wanted.size(); ++i) {
    int64_t value = 0;
    const auto [next, error] = std::from_chars(from, end, value);
    if (error != std::errc() || (i < 5 ? next == end || *next != ',' : next != end))
      return bad("six numbers are wanted");
    if (value != wanted[i])
      return bad(fmt::format("{} is {}, the Arrow file has {}", kColumns[i], value, wanted[i]));
    from = next + 1;
  }
  return {};
}

Result<void> CsvIndex::expect_end() {
  if (!TRY(line()).empty()) return bad("more rows than the Arrow file");
  return {};
}

Result<std::string> CsvIndex::line() {
  ++line_;
  while (true) {
    if (const size_t end = buffer_.find('\n', at_); end != std::string::npos) {
      std::string text = buffer_.substr(at_, end - at_);
      at_ = end + 1;
      if (text.empty()) return bad("is empty");
      return text;
    }
    buffer_.erase(0, at_);
    at_ = 0;
    const size_t have = buffer_.size();
    if (have > kLongestLine) return bad("is longer than 4 KiB");
    buffer_.resize(have + kRead);
    const size_t got =
        TRY(source_->read({reinterpret_cast<uint8_t*>(buffer_.data()) + have, kRead}));
    buffer_.resize(have + got);
    if (got > 0) continue;
    if (have > 0) return bad("has no end");
    return std::string();
  }
}

tl::unexpected<Error> CsvIndex::bad(const std::string& what) const {
  return fail(Code::kInvalid, fmt::format("{}: line {}: {}", path_, line_, what));
}

}  // namespace spillway::exporter
