#include "format/parquet/parquet_writer.hpp"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace spillway::format {
namespace {

constexpr uint64_t kRows = ParquetWriter::kRowGroupRows + 5000;  // a whole row group and a rest

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "parquet_test.XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name) const { return path + "/" + name; }
  bool is_empty() const { return std::filesystem::is_empty(path); }
  std::string path;
};

struct Money {
  explicit Money(Bytes capacity) : budget(Budget::create(capacity)) {}
  Account account() { return *budget->open({"parquet", 1, Bytes(0), std::nullopt}); }
  std::unique_ptr<Budget> budget;
};

ParquetOptions all_types() {
  return {{{"depth", ColumnType::kUint8, false},
           {"small", ColumnType::kUint16, false},
           {"medium", ColumnType::kUint32, true},
           {"id", ColumnType::kUint64, false},
           {"text", ColumnType::kString, false},
           {"bytes", ColumnType::kBinary, true},
           {"cells", ColumnType::kUint32List, false}},
          {{"spillway.problem", "test"}}};
}

Result<void> write_row(ParquetWriter& writer, uint64_t row) {
  writer.number(row % 251);
  writer.number(row % 65521);
  row % 7 == 0 ? writer.null() : writer.number(row * 3 % 4294967291);
  writer.number(row * 0x9e3779b97f4a7c15);
  writer.text(fmt::format("row {}", row));
  const std::array<char, 2> bytes{static_cast<char>(row & 0xff), '\0'};
  row % 5 == 0 ? writer.null() : writer.text({bytes.data(), bytes.size()});
  const std::array<uint32_t, 3> cells{static_cast<uint32_t>(row), 1, 0xffffffff};
  writer.list(std::span(cells).first(row % 4));
  return writer.end_row();
}

ParquetOptions with_space(ParquetOptions options, const std::string& folder) {
  options.space = *ScratchSpace::create({.folder = folder, .limit = Bytes(0), .allow_tmpfs = true});
  return options;
}

Result<void> write_file(const std::string& path, uint64_t rows, Account account) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  auto writer =
      TRY(ParquetWriter::create(path, with_space(all_types(), folder), std::move(account)));
  for (uint64_t row = 0; row < rows; ++row) TRY(write_row(*writer, row));
  return std::move(*writer).close();
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<arrow::Table> read(const std::string& path) {
  auto file = arrow::io::ReadableFile::Open(path).ValueOrDie();
  auto reader = parquet::arrow::OpenFile(file, arrow::default_memory_pool()).ValueOrDie();
  return reader->ReadTable().ValueOrDie();
}

TEST(ParquetWriter, PyarrowReadsBackWhatWasWritten) {
  const std::string python = SPILLWAY_SOURCE_DIR "/.venv/bin/python3";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "no pyarrow here";
  const Folder folder;
  Money money(Bytes(64 << 20));
  const auto written = write_file(folder.file("a.parquet"), kRows, money.account());
  ASSERT_TRUE(written.has_value()) << written.error().message();
  std::ofstream(folder.file("check.py")) << R"(
import sys, pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1])
rows = int(sys.argv[2])
meta = file.metadata
assert meta.created_by == "spillway" and meta.num_row_groups == 2, meta
assert meta.row_group(0).num_rows == 122880, meta.row_group(0)
assert meta.row_group(0).column(3).compression == "ZSTD"
assert meta.metadata[b"spillway.problem"] == b"test"
assert [str(t) for t in file.schema_arrow.types][:6] == [
    "uint8", "uint16", "uint32", "uint64", "string", "binary"]
want = {
    "depth": [r % 251 for r in range(rows)],
    "small": [r % 65521 for r in range(rows)],
    "medium": [None if r % 7 == 0 else r * 3 % 4294967291 for r in range(rows)],
    "id": [r * 0x9e3779b97f4a7c15 % 2**64 for r in range(rows)],
    "text": [f"row {r}" for r in range(rows)],
    "bytes": [None if r % 5 == 0 else bytes([r & 255, 0]) for r in range(rows)],
    "cells": [[r, 1, 0xffffffff][:r % 4] for r in range(rows)],
}
table = file.read()
assert table.column_names == list(want)
for name, values in want.items():
    assert table[name].to_pylist() == values, name
)";
  const std::string command = fmt::format("'{}' '{}' '{}' {}", python, folder.file("check.py"),
                                          folder.file("a.parquet"), kRows);
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(ParquetWriter, SameRowsGiveTheSameBytesWhateverTheBudget) {
  const Folder folder;
  Money small(Bytes(32 << 20)), large(Bytes(1 << 30));
  ASSERT_TRUE(write_file(folder.file("a.parquet"), kRows, small.account()).has_value());
  ASSERT_TRUE(write_file(folder.file("b.parquet"), kRows, large.account()).has_value());
  EXPECT_TRUE(content(folder.file("a.parquet")) == content(folder.file("b.parquet")));
  EXPECT_GT(content(folder.file("a.parquet")).size(), 100000u);
}

TEST(ParquetWriter, GivesAllMemoryBackAndStaysWithinItsCost) {
  const Folder folder;
  Money money(Bytes(1 << 30));
  Account account = money.account();
  ASSERT_TRUE(write_file(folder.file("a.parquet"), 2 * kRows, account).has_value());
  EXPECT_EQ(account.used(), Bytes(0));
  EXPECT_GT(account.peak(), Bytes(1 << 20));
  EXPECT_LE(account.peak(), ParquetWriter::cost(all_types().columns.size()));
}

TEST(ParquetWriter, StaysWithinItsCostWhenNothingCompresses) {
  const Folder folder;
  Money money(Bytes(1 << 30));
  Account account = money.account();
  ParquetOptions options;
  options.columns = {{"text", ColumnType::kString, false}};
  auto writer = std::move(
      *ParquetWriter::create(folder.file("a.parquet"), with_space(options, folder.path), account));
  uint64_t random = 1;
  for (uint64_t row = 0; row < kRows; ++row) {
    std::string text;
    for (int i = 0; i < 16; ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      text += static_cast<char>(random >> 56);
    }
    writer->text(text);
    ASSERT_TRUE(writer->end_row().has_value());
  }
  ASSERT_TRUE(std::move(*writer).close().has_value());
  EXPECT_LE(account.peak(), ParquetWriter::cost(1));
}

TEST(ParquetWriter, RefusedMemoryIsAMemoryLimitAndLeavesNothing) {
  // From nothing at all up to almost enough: each refusal comes from another place inside Arrow.
  int refused = 0;
  for (uint64_t kib = 1; kib < 3000; kib = kib * 3 / 2 + 1) {
    const Folder folder;
    Money money(Bytes(kib << 10));
    Account account = money.account();
    const auto written = write_file(folder.file("a.parquet"), 20000, account);
    EXPECT_EQ(account.used(), Bytes(0)) << kib;
    if (written.has_value()) continue;
    ++refused;
    EXPECT_EQ(written.error().code(), Code::kMemoryLimit) << written.error().message();
    EXPECT_TRUE(folder.is_empty()) << kib;
  }
  EXPECT_GT(refused, 5);
}

TEST(ParquetWriter, DestroyedWithoutCloseLeavesNothing) {
  const Folder folder;
  Money money(Bytes(64 << 20));
  Account account = money.account();
  {
    auto writer = std::move(*ParquetWriter::create(folder.file("a.parquet"),
                                                   with_space(all_types(), folder.path), account));
    for (uint64_t row = 0; row < 10000; ++row) ASSERT_TRUE(write_row(*writer, row).has_value());
    EXPECT_FALSE(folder.is_empty());
  }
  EXPECT_TRUE(folder.is_empty());
  EXPECT_EQ(account.used(), Bytes(0));
}

TEST(ParquetWriter, NoRowsIsAFileWithColumns) {
  const Folder folder;
  Money money(Bytes(64 << 20));
  ASSERT_TRUE(write_file(folder.file("a.parquet"), 0, money.account()).has_value());
  const auto table = read(folder.file("a.parquet"));
  EXPECT_EQ(table->num_rows(), 0);
  EXPECT_EQ(table->num_columns(), 7);
}

TEST(ParquetWriter, AFolderThatIsNotThereIsNamed) {
  Money money(Bytes(64 << 20));
  const auto writer =
      ParquetWriter::create("/nowhere/a.parquet", with_space(all_types(), "/tmp"), money.account());
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().code(), Code::kNotFound);
  EXPECT_NE(writer.error().message().find("/nowhere/a.parquet"), std::string::npos);
}

RC_GTEST_PROP(ParquetWriter, AnyListsAndNullsComeBack,
              (const std::vector<std::vector<uint32_t>>& lists,
               const std::vector<rc::Maybe<uint32_t>>& numbers)) {
  const Folder folder;
  Money money(Bytes(64 << 20));
  ParquetOptions options;
  options.columns = {{"list", ColumnType::kUint32List, false},
                     {"number", ColumnType::kUint32, true}};
  auto writer = std::move(*ParquetWriter::create(
      folder.file("a.parquet"), with_space(options, folder.path), money.account()));
  const size_t rows = std::min(lists.size(), numbers.size());
  for (size_t row = 0; row < rows; ++row) {
    writer->list(lists[row]);
    numbers[row] ? writer->number(*numbers[row]) : writer->null();
    RC_ASSERT(writer->end_row().has_value());
  }
  RC_ASSERT(std::move(*writer).close().has_value());

  const auto table = read(folder.file("a.parquet"))->CombineChunks().ValueOrDie();
  RC_ASSERT(table->num_rows() == static_cast<int64_t>(rows));
  for (size_t row = 0; row < rows; ++row) {
    const auto at = static_cast<int64_t>(row);
    const auto& list = static_cast<const arrow::ListArray&>(*table->column(0)->chunk(0));
    const auto& items = static_cast<const arrow::UInt32Array&>(*list.values());
    std::vector<uint32_t> got;
    for (int32_t i = 0; i < list.value_length(at); ++i)
      got.push_back(items.Value(list.value_offset(at) + i));
    RC_ASSERT(got == lists[row]);
    const auto& column = static_cast<const arrow::UInt32Array&>(*table->column(1)->chunk(0));
    RC_ASSERT(column.IsNull(at) == !numbers[row]);
    if (numbers[row]) RC_ASSERT(column.Value(at) == *numbers[row]);
  }
}

}  // namespace
}  // namespace spillway::format
