#include "format/parquet/parquet_writer.hpp"

#include <arrow/api.h>
#include <fmt/format.h>
#include <parquet/arrow/schema.h>
#include <parquet/arrow/writer.h>
#include <parquet/column_writer.h>
#include <parquet/file_writer.h>

#include <algorithm>
#include <cstring>

#include "format/parquet/arrow_files.hpp"
#include "format/parquet/arrow_leaves.hpp"
#include "format/parquet/arrow_memory.hpp"
#include "format/parquet/parquet_parts.hpp"
#include "format/parquet/parquet_seal.hpp"

namespace spillway::format {
namespace {

// Of a column's values, on scratch; twice that is leased for it: a chunk and a long value. A
// function of the table only: pages end where chunks do.
constexpr size_t chunk_bytes(size_t columns) {
  return std::clamp((size_t{4} << 20) / std::max<size_t>(columns, 1), size_t{8} << 10,
                    size_t{64} << 10);
}

// What Parquet keeps of a column of a row group until the footer is written.
constexpr size_t kFooterBytes = size_t{1536};

// The rows of the row group after `groups` others. Each doubling comes when the footer has grown by
// some 1,024 columns' worth, so that it grows with the logarithm of the rows, up to eight times.
int64_t rows_of_group(size_t groups, size_t columns) {
  const size_t step =
      std::clamp(size_t{1024} / std::max<size_t>(columns, 1), size_t{4}, size_t{64});
  return ParquetWriter::kRowGroupRows << std::min<size_t>(groups / step, 3);
}

size_t width_of(ColumnType type) {
  switch (type) {
    case ColumnType::kBool:
    case ColumnType::kUint8:
    case ColumnType::kInt8:
      return 1;
    case ColumnType::kUint16:
    case ColumnType::kInt16:
      return 2;
    case ColumnType::kUint32:
    case ColumnType::kInt32:
    case ColumnType::kFloat:
      return 4;
    default:
      return 8;
  }
}

// Values of one column behind each other, in memory and in chunks on scratch.
struct Spool {
  struct Chunk {
    uint64_t offset;
    size_t bytes;
  };
  std::string buffer;
  std::vector<Chunk> chunks;          // of the row group; 16 bytes a 64 KiB
  std::optional<ArrowLeaves> leaves;  // of kArrow
  size_t leaf_count() const { return leaves ? leaves->size() : 1; }
};

class Writer final : public ParquetWriter {
 public:
  Writer(std::string path, ParquetOptions options, Account account)
      : path_(std::move(path)),
        options_(std::move(options)),
        account_(account),
        pool_(std::move(account)),
        spools_(options_.columns.size()),
        chunk_(chunk_bytes(spools_.size())) {}
  ~Writer() override {
    try {
      writer_.reset();
    } catch (const std::exception&) {  // an unfinished file is dropped anyway
    }
  }

  Result<void> open() {
    auto lease = account_.try_acquire(Bytes(2 * chunk_) * (spools_.size() + 1));
    if (!lease) {
      return fail(Code::kMemoryLimit, fmt::format("writing {}: needs {}; raise --memory", path_,
                                                  to_string(cost(spools_.size()))));
    }
    buffers_ = std::move(*lease);
    for (Spool& spool : spools_) spool.buffer.reserve(chunk_);
    sink_ = TRY(create_output(path_, {.partial = options_.partial}));
    stream_ = std::make_shared<ArrowSink>(*sink_);
    schema_ = TRY(arrow_schema(options_));
    for (size_t i = 0; i < spools_.size(); ++i) {
      if (options_.columns[i].type != ColumnType::kArrow) continue;
      spools_[i].leaves.emplace(schema_->field(static_cast<int>(i))->type(),
                                options_.columns[i].nullable);
    }
    for (const Spool& spool : spools_) leaf_count_ += spool.leaf_count();
    return guarded([&] {
      properties_ = writer_properties(options_, pool_);
      arrow_properties_ = parquet::ArrowWriterProperties::Builder().set_use_threads(false)->build();
      std::shared_ptr<parquet::SchemaDescriptor> descriptor;
      ARROW_RETURN_NOT_OK(parquet::arrow::ToParquetSchema(schema_.get(), *properties_,
                                                          *arrow_properties_, &descriptor));
      auto root = std::static_pointer_cast<parquet::schema::GroupNode>(descriptor->schema_root());
      writer_ = parquet::ParquetFileWriter::Open(stream_, root, properties_, schema_->metadata());
      return arrow::Status::OK();
    });
  }

  void number(uint64_t value) override {
    Spool& spool = next();
    put(spool, &value, width_of(type()));
  }
  void real(double value) override {
    Spool& spool = next();
    if (type() == ColumnType::kFloat) {
      const auto narrow = static_cast<float>(value);
      put(spool, &narrow, sizeof narrow);
    } else {
      put(spool, &value, sizeof value);
    }
  }
  void text(std::string_view value) override {
    put_counted(value.size(), value.data(), value.size());
  }
  void list(std::span<const uint32_t> values) override {
    put_counted(values.size(), values.data(), values.size_bytes());
  }
  void null() override {
    Spool& spool = next();
    CHECK(column().nullable);
    room_for(spool, 1);
    spool.buffer += '\0';
  }

  Result<void> end_row() override {
    CHECK(column_ == spools_.size());
    column_ = 0;
    ++rows_;
    if (++group_rows_ == rows_of_group(groups_, spools_.size()) && !failed_) TRY(write_group());
    if (failed_) return fail(failed_->clone());
    return {};
  }
  void metadata(const std::string& key, const std::string& value) override {
    writer_->AddKeyValueMetadata(arrow::key_value_metadata({key}, {value}));
  }
  Result<void> close() && override {
    if (failed_) return fail(std::move(*failed_));
    TRY(write_group());
    metadata(std::string(kSealKey), kOpenSeal);
    stream_->hold();
    TRY(guarded([&] {
      writer_->Close();
      return arrow::Status::OK();
    }));
    TRY(write_footer(stream_->take_held()));
    TRY(verify_parquet(*sink_, rows_, account_));
    return std::move(*sink_).commit();
  }
  uint64_t rows() const override { return rows_; }

 private:
  const ColumnSpec& column() const { return options_.columns[column_ - 1]; }
  ColumnType type() const { return column().type; }
  Spool& next() { return spools_.at(column_++); }

  // Runs what calls Parquet; its exceptions and statuses become ours.
  template <class Work>
  Result<void> guarded(Work&& work) {
    arrow::Status status;
    try {
      status = work();
    } catch (const parquet::ParquetStatusException& problem) {
      status = problem.status();
    } catch (const std::exception& problem) {
      status = arrow::Status::IOError(problem.what());
    }
    if (status.ok()) return {};
    if (auto refused = stream_->take_error())
      return fail(std::move(*refused).with("writing " + path_));
    return fail(parquet_error(status, path_));
  }

  // A full buffer goes to scratch first. Errors wait for end_row().
  void room_for(Spool& spool, size_t bytes) {
    if (spool.buffer.empty() || spool.buffer.size() + bytes <= chunk_) return;
    auto spilled = spill(spool);
    if (!spilled && !failed_) failed_ = std::move(spilled).error();
  }
  Result<void> spill(Spool& spool) {
    if (!scratch_.is_open()) scratch_ = TRY(options_.space->open());
    const uint64_t offset = TRY(scratch_.append(
        {reinterpret_cast<const uint8_t*>(spool.buffer.data()), spool.buffer.size()}));
    spool.chunks.push_back({offset, spool.buffer.size()});
    spool.buffer.clear();
    return {};
  }
  void put(Spool& spool, const void* bytes, size_t count) {
    room_for(spool, count + 1);
    if (column().nullable) spool.buffer += '\1';
    spool.buffer.append(static_cast<const char*>(bytes), count);
  }
  void put_counted(size_t count, const void* bytes, size_t size) {
    Spool& spool = next();
    room_for(spool, size + sizeof(uint32_t) + 1);
    if (column().nullable) spool.buffer += '\1';
    const auto narrow = static_cast<uint32_t>(count);
    spool.buffer.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
    spool.buffer.append(static_cast<const char*>(bytes), size);
  }

  Result<void> write_group() {
    if (group_rows_ == 0) return {};
    parquet::RowGroupWriter* group = nullptr;
    TRY(guarded([&] {
      group = writer_->AppendRowGroup();
      return arrow::Status::OK();
    }));
    for (size_t i = 0; i < spools_.size(); ++i) {
      for (size_t leaf = 0; leaf < spools_[i].leaf_count(); ++leaf)
        TRY(write_column(*group, i, leaf));
      spools_[i].chunks.clear();
      spools_[i].buffer.clear();
    }
    TRY(guarded([&] {
      group->Close();
      return arrow::Status::OK();
    }));
    group_rows_ = 0;
    ++groups_;
    auto kept = account_.try_acquire(Bytes(kFooterBytes) * leaf_count_);
    if (!kept) {
      return fail(Code::kMemoryLimit,
                  fmt::format("writing {}: the footer of {} row groups of {} columns needs more "
                              "memory; raise --memory",
                              path_, groups_, spools_.size()));
    }
    footer_.join(std::move(*kept));
    scratch_ = ScratchFile();
    return {};
  }

  Result<void> write_column(parquet::RowGroupWriter& group, size_t index, size_t leaf) {
    Spool& spool = spools_[index];
    parquet::ColumnWriter* column_writer = nullptr;
    TRY(guarded([&] {
      column_writer = group.NextColumn();
      return arrow::Status::OK();
    }));
    std::string chunk;
    for (const Spool::Chunk& from : spool.chunks) {
      chunk.resize(from.bytes);
      TRY(scratch_.read_at(from.offset, {reinterpret_cast<uint8_t*>(chunk.data()), chunk.size()}));
      TRY(guarded([&] { return encode(*column_writer, index, leaf, chunk); }));
    }
    TRY(guarded([&] {
      ARROW_RETURN_NOT_OK(encode(*column_writer, index, leaf, spool.buffer));
      column_writer->Close();
      return arrow::Status::OK();
    }));
    return {};
  }

  // `end` is all that Parquet wrote at its end: page indexes, then the footer, which ends in its
  // length and PAR1.
  Result<void> write_footer(std::string end) {
    uint32_t length = 0;
    CHECK(end.size() > 8);
    std::memcpy(&length, end.data() + end.size() - 8, sizeof length);
    CHECK(length <= end.size() - 8);
    std::string footer = end.substr(end.size() - 8 - length);
    end.resize(end.size() - footer.size());
    stream_->release();
    TRY(guarded([&] { return stream_->Write(end.data(), static_cast<int64_t>(end.size())); }));
    close_seal(footer, stream_->hash());
    return sink_->append({reinterpret_cast<const uint8_t*>(footer.data()), footer.size()});
  }

  arrow::Status encode(parquet::ColumnWriter& column_writer, size_t index, size_t leaf,
                       std::string_view values) {
    const auto& leaves = spools_[index].leaves;
    if (!leaves) return encode(column_writer, options_.columns[index], values);
    if (values.empty()) return arrow::Status::OK();
    ARROW_ASSIGN_OR_RAISE(const LeafChunk chunk, leaves->chunk(leaf, values, &pool_));
    parquet::ArrowWriteContext context(&pool_, arrow_properties_.get());
    return column_writer.WriteArrow(leaves->most_defined(leaf) > 0 ? chunk.defined.data() : nullptr,
                                    leaves->is_repeated(leaf) ? chunk.repeated.data() : nullptr,
                                    static_cast<int64_t>(chunk.defined.size()), *chunk.values,
                                    &context, leaves->is_nullable(leaf));
  }

  // Values of a chunk, given to the column's writer.
  arrow::Status encode(parquet::ColumnWriter& column_writer, const ColumnSpec& spec,
                       std::string_view values) {
    if (values.empty()) return arrow::Status::OK();
    const bool lists = is_list(spec.type);
    const auto item = lists
                          ? (spec.type == ColumnType::kInt32List ? arrow::int32() : arrow::uint32())
                          : arrow_type(spec.type);
    std::unique_ptr<arrow::ArrayBuilder> builder;
    ARROW_RETURN_NOT_OK(arrow::MakeBuilder(&pool_, item, &builder));
    defined_.clear();
    repeated_.clear();
    while (!values.empty()) {
      bool there = true;
      if (spec.nullable) {
        there = values[0] != '\0';
        values.remove_prefix(1);
      }
      const auto defined = static_cast<int16_t>(spec.nullable ? (there ? 1 : 0) : 0);
      if (!there) {
        defined_.push_back(0);
        if (lists)
          repeated_.push_back(0);
        else
          ARROW_RETURN_NOT_OK(builder->AppendNull());
      } else if (lists) {
        ARROW_RETURN_NOT_OK(append_list(*builder, spec, defined, values));
      } else {
        ARROW_RETURN_NOT_OK(append_value(*builder, spec.type, values));
        if (spec.nullable) defined_.push_back(1);
      }
    }
    std::shared_ptr<arrow::Array> array;
    ARROW_RETURN_NOT_OK(builder->Finish(&array));
    const bool levels = spec.nullable || lists;
    const auto count = levels ? static_cast<int64_t>(defined_.size()) : array->length();
    parquet::ArrowWriteContext context(&pool_, arrow_properties_.get());
    return column_writer.WriteArrow(levels ? defined_.data() : nullptr,
                                    lists ? repeated_.data() : nullptr, count, *array, &context,
                                    spec.nullable && !lists);
  }

  template <class Builder, class Value>
  static arrow::Status append_number(arrow::ArrayBuilder& builder, std::string_view& values) {
    Value value{};
    std::memcpy(&value, values.data(), sizeof value);
    values.remove_prefix(sizeof value);
    return static_cast<Builder&>(builder).Append(value);
  }
  static arrow::Status append_value(arrow::ArrayBuilder& builder, ColumnType type,
                                    std::string_view& values) {
    switch (type) {
      case ColumnType::kBool: {
        const bool value = values[0] != '\0';
        values.remove_prefix(1);
        return static_cast<arrow::BooleanBuilder&>(builder).Append(value);
      }
      case ColumnType::kUint8:
        return append_number<arrow::UInt8Builder, uint8_t>(builder, values);
      case ColumnType::kInt8:
        return append_number<arrow::Int8Builder, int8_t>(builder, values);
      case ColumnType::kUint16:
        return append_number<arrow::UInt16Builder, uint16_t>(builder, values);
      case ColumnType::kInt16:
        return append_number<arrow::Int16Builder, int16_t>(builder, values);
      case ColumnType::kUint32:
        return append_number<arrow::UInt32Builder, uint32_t>(builder, values);
      case ColumnType::kInt32:
        return append_number<arrow::Int32Builder, int32_t>(builder, values);
      case ColumnType::kUint64:
        return append_number<arrow::UInt64Builder, uint64_t>(builder, values);
      case ColumnType::kInt64:
        return append_number<arrow::Int64Builder, int64_t>(builder, values);
      case ColumnType::kFloat:
        return append_number<arrow::FloatBuilder, float>(builder, values);
      case ColumnType::kDouble:
        return append_number<arrow::DoubleBuilder, double>(builder, values);
      default: {
        const uint32_t length = take_count(values);
        const std::string_view text = values.substr(0, length);
        values.remove_prefix(length);
        return static_cast<arrow::BinaryBuilder&>(builder).Append(text);
      }
    }
  }
  static uint32_t take_count(std::string_view& values) {
    uint32_t count = 0;
    std::memcpy(&count, values.data(), sizeof count);
    values.remove_prefix(sizeof count);
    return count;
  }
  // Levels as Dremel has them: an empty list is defined as far as `defined`, an item one further.
  arrow::Status append_list(arrow::ArrayBuilder& builder, const ColumnSpec& spec, int16_t defined,
                            std::string_view& values) {
    const uint32_t count = take_count(values);
    if (count == 0) {
      defined_.push_back(defined);
      repeated_.push_back(0);
    }
    for (uint32_t i = 0; i < count; ++i) {
      defined_.push_back(static_cast<int16_t>(defined + 1));
      repeated_.push_back(i == 0 ? 0 : 1);
      if (spec.type == ColumnType::kInt32List)
        ARROW_RETURN_NOT_OK((append_number<arrow::Int32Builder, int32_t>(builder, values)));
      else
        ARROW_RETURN_NOT_OK((append_number<arrow::UInt32Builder, uint32_t>(builder, values)));
    }
    return arrow::Status::OK();
  }

  std::string path_;
  ParquetOptions options_;
  Account account_;
  LeasedPool pool_;
  Lease buffers_, footer_;
  std::vector<Spool> spools_;
  size_t chunk_, leaf_count_ = 0;
  ScratchFile scratch_;
  std::vector<int16_t> defined_, repeated_;  // of a chunk
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<Output> sink_;
  std::shared_ptr<ArrowSink> stream_;
  std::shared_ptr<parquet::WriterProperties> properties_;
  std::shared_ptr<parquet::ArrowWriterProperties> arrow_properties_;
  std::unique_ptr<parquet::ParquetFileWriter> writer_;
  std::optional<Error> failed_;
  size_t column_ = 0;
  int64_t group_rows_ = 0;
  size_t groups_ = 0;
  uint64_t rows_ = 0;
};

}  // namespace

Result<std::unique_ptr<ParquetWriter>> ParquetWriter::create(std::string path,
                                                             ParquetOptions options,
                                                             Account account) {
  CHECK(options.space != nullptr);
  auto writer = std::make_unique<Writer>(std::move(path), std::move(options), std::move(account));
  TRY(writer->open());
  return writer;
}

Bytes ParquetWriter::cost(size_t columns) {
  return 5_MiB + columns * Bytes(2 * chunk_bytes(columns));
}

}  // namespace spillway::format
