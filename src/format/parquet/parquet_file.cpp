#include "format/parquet/parquet_file.hpp"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/printable.hpp"
#include "format/parquet/thrift_size.hpp"

namespace spillway::format {
namespace {

constexpr int64_t kReadAhead = int64_t{64} << 10;  // of a column chunk, at once
constexpr size_t kTail = 8;                        // the footer's length and the magic
constexpr int64_t kMostLeaves = 16384;

parquet::ReaderProperties properties_for(LeasedPool& pool) {
  parquet::ReaderProperties properties(&pool);
  properties.enable_buffered_stream();
  properties.set_buffer_size(kReadAhead);
  properties.set_page_checksum_verification(true);
  return properties;
}

// The same with texts as bytes.
std::shared_ptr<arrow::DataType> as_bytes(const std::shared_ptr<arrow::DataType>& type) {
  switch (type->id()) {
    case arrow::Type::STRING:
      return arrow::binary();
    case arrow::Type::LARGE_STRING:
      return arrow::large_binary();
    case arrow::Type::STRING_VIEW:
      return arrow::binary_view();
    case arrow::Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryType&>(*type);
      return arrow::dictionary(coded.index_type(), as_bytes(coded.value_type()), coded.ordered());
    }
    case arrow::Type::LIST:
      return arrow::list(type->field(0)->WithType(as_bytes(type->field(0)->type())));
    case arrow::Type::STRUCT: {
      arrow::FieldVector fields;
      for (const auto& field : type->fields())
        fields.push_back(field->WithType(as_bytes(field->type())));
      return arrow::struct_(fields);
    }
    default:
      return type;
  }
}
std::shared_ptr<arrow::ArrayData> as_bytes(const arrow::ArrayData& data) {
  auto bytes = data.Copy();
  bytes->type = as_bytes(data.type);
  for (auto& child : bytes->child_data) child = as_bytes(*child);
  if (bytes->dictionary) bytes->dictionary = as_bytes(*bytes->dictionary);
  return bytes;
}
arrow::Status validate_as_bytes(const arrow::RecordBatch& batch) {
  for (const auto& column : batch.columns())
    ARROW_RETURN_NOT_OK(arrow::MakeArray(as_bytes(*column->data()))->ValidateFull());
  return arrow::Status::OK();
}

}  // namespace

ParquetFile::ParquetFile(std::shared_ptr<const Source> source, Account account)
    : source_(std::move(source)),
      account_(account),
      pool_(std::move(account)),
      file_(std::make_shared<ArrowFile>(source_, pool_)) {}

ParquetFile::~ParquetFile() {
  try {
    batches_.reset();
    reader_.reset();
  } catch (const std::exception&) {  // nothing of a file that was read is lost
  }
}

Error ParquetFile::error_of(const arrow::Status& status, const std::string& where) const {
  const std::string& name = source_->name();
  if (auto refused = file_->take_error()) return std::move(*refused);
  if (status.IsOutOfMemory()) {
    return Error(
        Code::kMemoryLimit,
        fmt::format("reading {} ({}): its pages need more than the memory there is ({} of "
                    "this stage's {} are used); raise --memory",
                    name, where, to_string(account_.used()), to_string(account_.ceiling())));
  }
  return Error(Code::kCorrupt, fmt::format("{}: cannot be read as Parquet ({}): {}", name, where,
                                           printable(status.message(), 300)));
}

Result<std::unique_ptr<ParquetFile>> ParquetFile::open(std::shared_ptr<const Source> source,
                                                       Account account) {
  std::unique_ptr<ParquetFile> file(new ParquetFile(std::move(source), std::move(account)));
  TRY(file->read_footer());
  TRY(file->guarded("footer", [&] {
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(builder.Open(file->file_, properties_for(file->pool_), file->metadata_));
    file->parquet_ = builder.raw_reader();
    parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
    arrow_properties.set_pre_buffer(false);
    builder.memory_pool(&file->pool_)->properties(arrow_properties);
    return builder.Build(&file->reader_);
  }));
  return file;
}

Result<void> ParquetFile::read_footer() {
  const std::string& name = source_->name();
  const uint64_t size = source_->size();
  uint8_t head[4] = {}, tail[kTail] = {};
  if (size >= sizeof head + kTail) {
    TRY(source_->read_at(0, head));
    TRY(source_->read_at(size - kTail, tail));
  }
  const auto is = [](const uint8_t* at, const char* magic) {
    return std::memcmp(at, magic, 4) == 0;
  };
  if (is(head, "PARE") || is(tail + 4, "PARE")) {
    return fail(Code::kInvalid,
                name + ": is encrypted Parquet, which is not read here: write it without");
  }
  if (!is(head, "PAR1")) {
    return fail(Code::kCorrupt, fmt::format("{}: cannot be read as Parquet: it does not begin with "
                                            "PAR1{}",
                                            name, size == 0 ? " (it is empty)" : ""));
  }
  if (!is(tail + 4, "PAR1")) {
    return fail(Code::kCorrupt,
                name + ": cannot be read as Parquet: it does not end with PAR1: cut short?");
  }
  uint32_t length = 0;
  std::memcpy(&length, tail, sizeof length);
  if (length > size - sizeof head - kTail) {
    return fail(Code::kCorrupt,
                fmt::format("{}: cannot be read as Parquet: a footer of {} in a file of {}", name,
                            to_string(Bytes(length)), to_string(Bytes(size))));
  }
  const auto refused = [&](Bytes need) {
    return fail(Code::kMemoryLimit,
                fmt::format("{}: its footer of {} takes {} to read, more than the memory there is "
                            "for it; raise --memory",
                            name, to_string(Bytes(length)), to_string(need)));
  };
  const Bytes text(length + kTail);
  auto lease = account_.try_acquire(text);
  if (!lease) return refused(2 * text);
  footer_begin_ = size - kTail - length;
  std::string footer(text.count(), '\0');
  auto* const bytes = reinterpret_cast<uint8_t*>(footer.data());
  TRY(source_->read_at(footer_begin_, {bytes, footer.size()}));
  auto decoded = decoded_thrift_size({bytes, length});
  if (!decoded) {
    return fail(Code::kCorrupt,
                fmt::format("{}: cannot be read as Parquet: its footer is damaged: {}", name,
                            decoded.error().message()));
  }
  auto more = account_.try_acquire(*decoded);
  if (!more) return refused(text + *decoded);
  const auto sealed = open_seal(footer);
  TRY(guarded("footer", [&] {
    metadata_ = parquet::FileMetaData::Make(footer.data(), int64_t{length}, properties_for(pool_));
    return arrow::Status::OK();
  }));
  footer_ = std::move(*more);
  if (metadata_->num_columns() > kMostLeaves) {
    return fail(Code::kTooLarge,
                fmt::format("{}: {} columns, more than the {} that are read", name,
                            grouped(static_cast<uint64_t>(metadata_->num_columns())),
                            grouped(kMostLeaves)));
  }
  if (sealed && sealed->told.footer == sealed->footer) seal_ = sealed->told;
  // Others copy our key-value metadata into files of their own; those are not sealed.
  if (seal_ || metadata_->created_by() != kCreator) return {};
  return fail(Code::kCorrupt,
              fmt::format("{}: its footer {}: the file is damaged; write it again", name,
                          sealed ? "does not match its checksum" : "has lost its checksum"));
}

Result<std::shared_ptr<arrow::Schema>> ParquetFile::schema() {
  std::shared_ptr<arrow::Schema> found;
  TRY(guarded("schema", [&] { return reader_->GetSchema(&found); }));
  return found;
}

Result<void> ParquetFile::start(const std::vector<int>& leaves, int64_t batch_rows) {
  std::vector<int> groups(static_cast<size_t>(reader_->num_row_groups()));
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
  reader_->set_batch_size(batch_rows);
  return guarded("columns", [&] {
    ARROW_ASSIGN_OR_RAISE(batches_, reader_->GetRecordBatchReader(groups, leaves));
    return arrow::Status::OK();
  });
}

Result<std::shared_ptr<arrow::RecordBatch>> ParquetFile::next() {
  std::shared_ptr<arrow::RecordBatch> batch;
  const std::string where = fmt::format("from row {}", grouped(rows_read_ + 1));
  TRY(guarded(where, [&] {
    ARROW_RETURN_NOT_OK(batches_->ReadNext(&batch));
    if (!batch) return arrow::Status::OK();
    const arrow::Status valid = batch->ValidateFull();
    texts_are_utf8_ = valid.ok();
    return valid.ok() || !validate_as_bytes(*batch).ok() ? valid : arrow::Status::OK();
  }));
  const auto told = static_cast<uint64_t>(metadata_->num_rows());
  if (batch) rows_read_ += static_cast<uint64_t>(batch->num_rows());
  if (batch ? rows_read_ > told : rows_read_ != told) {
    return fail(Code::kCorrupt, fmt::format("{}: {} rows were read where its footer tells of {}",
                                            source_->name(), rows_read_, told));
  }
  if (!batch) TRY(source_->must_be_unchanged());
  return batch;
}

}  // namespace spillway::format
