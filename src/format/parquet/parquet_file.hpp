// The one way a Parquet file is opened and read, ours or not.
//
// Nothing that the file says about itself is believed: the footer's length and what decoding it will
// take are leased before, its nesting is bounded, a seal of ours must hold, page checksums are
// checked where they are, each batch is validated in full before it is handed out, and there must be
// as many rows as the footer says. Only that texts are UTF-8 is left to who wants them:
// texts_are_utf8().
//
// Memory   The footer, and pages and batches from a LeasedPool on `account`. A row group may hold any
//          number of rows: pages are read one by one.
// Threads  One.
// Fails    kIo; kCorrupt, with the rows; kInvalid: not Parquet, encrypted; kMemoryLimit: a footer or
//          pages larger than the account's part of --memory.
#pragma once

#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/memory/budget.hpp"
#include "format/parquet/arrow_files.hpp"
#include "format/parquet/arrow_memory.hpp"
#include "format/parquet/parquet_seal.hpp"

namespace spillway::format {

class ParquetFile {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ParquetFile>> open(
      std::shared_ptr<const Source> source, Account account);
  ~ParquetFile();

  const parquet::FileMetaData& metadata() const { return *metadata_; }
  // What the seal tells, of a file that spillway wrote; its footer was checked.
  const std::optional<Seal>& seal() const { return seal_; }
  uint64_t footer_begin() const { return footer_begin_; }  // where the pages end
  parquet::ParquetFileReader& pages() { return *parquet_; }
  const Source& source() const { return *source_; }

  // For rows: the schema, then start() with the leaves (columns of the file) wanted, then next().
  [[nodiscard]] Result<std::shared_ptr<arrow::Schema>> schema();
  const parquet::arrow::SchemaManifest& manifest() const { return reader_->manifest(); }
  [[nodiscard]] Result<void> start(const std::vector<int>& leaves, int64_t batch_rows);
  // The next rows; null at the end.
  [[nodiscard]] Result<std::shared_ptr<arrow::RecordBatch>> next();
  uint64_t rows_read() const { return rows_read_; }
  bool texts_are_utf8() const { return texts_are_utf8_; }  // of the last batch, all

  // An exception or a status of Arrow's as our error; `where` says what was being read.
  Error error_of(const arrow::Status& status, const std::string& where) const;
  template <class Work>
  Result<void> guarded(const std::string& where, Work&& work) const {
    arrow::Status status;
    try {
      status = work();
    } catch (const parquet::ParquetStatusException& problem) {
      status = problem.status();
    } catch (const std::bad_alloc&) {
      status = arrow::Status::OutOfMemory("");
    } catch (const std::exception& problem) {
      status = arrow::Status::IOError(problem.what());
    }
    if (status.ok()) return {};
    return fail(error_of(status, where));
  }

 private:
  ParquetFile(std::shared_ptr<const Source> source, Account account);
  [[nodiscard]] Result<void> read_footer();

  std::shared_ptr<const Source> source_;
  Account account_;
  LeasedPool pool_;
  Lease footer_;
  std::shared_ptr<ArrowFile> file_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  parquet::ParquetFileReader* parquet_ = nullptr;  // reader_'s
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::optional<Seal> seal_;
  uint64_t footer_begin_ = 0, rows_read_ = 0;
  bool texts_are_utf8_ = true;
};

}  // namespace spillway::format
