#include "format/parquet/parquet_verify.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/damage.hpp"
#include "core/test_folder.hpp"
#include "format/parquet/parquet_writer.hpp"
#include "format/rows/row_reader.hpp"

namespace spillway::format {
namespace {

class ParquetVerify : public testing::Test {
 protected:
  ParquetVerify() : account_(*budget_->open({"verify", 0, Bytes(0), std::nullopt})) {}

  // 200 rows of text, number, list and a dictionary.
  void write() {
    ParquetOptions options;
    options.columns = {{"smiles", ColumnType::kString, false},
                       {"rule", ColumnType::kDictionary, false},
                       {"atoms", ColumnType::kInt32List, false},
                       {"id", ColumnType::kInt32, true}};
    options.metadata = {{"spillway.order", "key"}};
    options.space =
        *ScratchSpace::create({.folder = folder_.path(), .limit = Bytes(0), .allow_tmpfs = true});
    auto writer = *ParquetWriter::create(path_, options, account_);
    for (uint32_t i = 0; i < 200; ++i) {
      writer->text(text_of(i));
      writer->text(i % 3 == 0 ? "R1" : "R2");
      const std::array<uint32_t, 2> atoms{i, 7};
      writer->list(std::span(atoms).first(i % 3));
      i % 5 == 0 ? writer->null() : writer->number(i);
      ASSERT_TRUE(writer->end_row());
    }
    ASSERT_TRUE(std::move(*writer).close());
  }
  // In place: a file that is truncated and written again is synced by some file systems.
  void put(size_t at, uint8_t byte) {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(::pwrite(fd, &byte, 1, static_cast<off_t>(at)), 1);
    ::close(fd);
  }
  static std::string text_of(uint32_t row) { return fmt::format("C{:x}N", row * 2654435761u); }
  // Whether the rows are those that were written, or the error.
  Result<bool> read() {
    const auto reader = TRY(RowReader::open(path_, {.carry_all = true}, account_));
    InputRow row;
    uint32_t rows = 0;
    bool right = true;
    for (; TRY(reader->next(row)); ++rows) {
      right = right && row.text == text_of(rows);
      ValueReader values(row.carried);
      right = right && !values.null() && values.text() == (rows % 3 == 0 ? "R1" : "R2");
      right = right && !values.null() && values.text().size() == 4 * (rows % 3);
      right = right && values.null() == (rows % 5 == 0);
      if (right && rows % 5 != 0) right = values.number() == rows;
    }
    return right && rows == 200;
  }

  std::unique_ptr<Budget> budget_ = Budget::create(4_GiB);
  TestFolder folder_;
  std::string path_ = folder_.path() + "/a.parquet";
  Account account_;
};

TEST_F(ParquetVerify, FindsAnyFlippedByteAndAnyCut) {
  write();
  const std::vector<uint8_t> whole = content_of(path_);
  const auto healthy = verify_parquet_file(path_, account_, {});
  ASSERT_TRUE(healthy) << healthy.error().message();
  EXPECT_EQ(healthy->rows, 200u);
  EXPECT_EQ(healthy->columns, 4u);
  EXPECT_GE(healthy->pages, 4u);
  for (size_t at = 0; at < whole.size(); ++at) {
    put(at, static_cast<uint8_t>(whole[at] ^ (1u << at % 8)));
    ASSERT_FALSE(verify_parquet_file(path_, account_, {})) << "byte " << at;
    put(at, whole[at]);
    EXPECT_EQ(account_.used(), Bytes(0)) << at;
  }
  for (size_t length = whole.size(); length-- > 0;) {
    ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(length)), 0);
    ASSERT_FALSE(verify_parquet_file(path_, account_, {})) << "cut at " << length;
  }
}

TEST_F(ParquetVerify, SaysWhereDamageLies) {
  write();
  put(200, static_cast<uint8_t>(content_of(path_)[200] ^ 1));  // in the first column's data
  const auto found = verify_parquet_file(path_, account_, {});
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("row group 0, column 0 (smiles), page "),
            std::string::npos)
      << found.error().message();
}

// Any reader, which does not take the time to look at every byte, finds what changes a value.
TEST_F(ParquetVerify, NoReaderTakesDamageForData) {
  write();
  const std::vector<uint8_t> whole = content_of(path_);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned bit : {0u, 3u, 7u}) {
      put(at, static_cast<uint8_t>(whole[at] ^ (1u << bit)));
      const auto outcome = read();
      if (outcome) {
        ASSERT_TRUE(*outcome) << "byte " << at << " bit " << bit << ": wrong rows";
      } else {
        ASSERT_TRUE(outcome.error().code() == Code::kCorrupt ||
                    outcome.error().code() == Code::kInvalid ||
                    outcome.error().code() == Code::kMemoryLimit)
            << at << ": " << outcome.error().message();
      }
    }
    put(at, whole[at]);
  }
}

TEST_F(ParquetVerify, RefusesWhatNobodySealed) {
  std::ofstream(path_) << "PAR1";
  EXPECT_FALSE(verify_parquet_file(path_, account_, {}));
}

}  // namespace
}  // namespace spillway::format
