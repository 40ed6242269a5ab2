#include "transform/records/refusals_file.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <vector>

#include "core/file/output.hpp"
#include "core/printable.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kBuffer = size_t{64} << 10;

// A field never breaks the table, nor its being UTF-8: what is none is written \xNN.
void append_field(std::string& out, std::string_view field, char end) {
  while (!field.empty()) {
    const size_t good = utf8_length(field);
    for (const char c : field.substr(0, good)) out += c == '\t' || c == '\n' || c == '\r' ? ' ' : c;
    field.remove_prefix(good);
    if (field.empty()) break;
    out += fmt::format("\\x{:02x}", static_cast<unsigned char>(field[0]));
    field.remove_prefix(1);
  }
  out += end;
}

class Table final : public RefusalsFile {
 public:
  Table(std::unique_ptr<Output> sink, bool gzip) : sink_(std::move(sink)), gzip_(gzip) {
    if (!gzip_) return;
    usable_ = ::deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    packed_.resize(kBuffer);
  }
  ~Table() override {
    if (gzip_) ::deflateEnd(&stream_);
  }
  Result<void> header() {
    text_ = "source_file\tsource_row\trule\tsite_index\treason\tsource_smiles\tmessage\n";
    if (gzip_ && !usable_) return fail(Code::kMemoryLimit, "no memory for gzip");
    return {};
  }

  Result<void> add(const Line& line) override {
    append_field(text_, line.source_file, '\t');
    text_ += fmt::format("{}\t", line.source_row);
    append_field(text_, line.rule, '\t');
    append_field(text_, line.site_index < 0 ? "" : fmt::format("{}", line.site_index), '\t');
    append_field(text_, line.reason, '\t');
    append_field(text_, line.source_smiles, '\t');
    append_field(text_, line.message, '\n');
    return text_.size() < kBuffer ? Result<void>() : flush(false);
  }
  Result<void> close() && override {
    TRY(flush(true));
    return std::move(*sink_).commit();
  }

 private:
  Result<void> flush(bool last) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(text_.data());
    if (!gzip_) {
      TRY(sink_->append({bytes, text_.size()}));
    } else {
      stream_.next_in = const_cast<Bytef*>(bytes);
      stream_.avail_in = static_cast<uInt>(text_.size());
      do {
        stream_.next_out = packed_.data();
        stream_.avail_out = static_cast<uInt>(packed_.size());
        ::deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
        TRY(sink_->append({packed_.data(), packed_.size() - stream_.avail_out}));
      } while (stream_.avail_out == 0);
    }
    text_.clear();
    return {};
  }

  std::unique_ptr<Output> sink_;
  bool gzip_, usable_ = false;
  z_stream stream_{};
  std::string text_;
  std::vector<uint8_t> packed_;
};

}  // namespace

Result<std::unique_ptr<RefusalsFile>> RefusalsFile::create(const std::string& path,
                                                           const std::string& partial) {
  auto file = std::make_unique<Table>(TRY(create_output(path, {.partial = partial})),
                                      path.ends_with(".gz"));
  TRY(file->header());
  return file;
}

}  // namespace spillway::transform
