#include "format/parquet/arrow_leaves.hpp"

#include <arrow/io/file.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>

#include "core/test_folder.hpp"
#include "format/parquet/arrow_value.hpp"
#include "format/parquet/parquet_file.hpp"
#include "format/parquet/parquet_writer.hpp"

namespace spillway::format {
namespace {

constexpr int kTimes = 700;  // of the values: more than one chunk on scratch, for the long ones

class ArrowLeavesTest : public testing::Test {
 protected:
  // The values `json` of `type`, many times, written as a column and read back.
  std::shared_ptr<arrow::ChunkedArray> through(const std::shared_ptr<arrow::DataType>& type,
                                               const std::string& json, bool nullable) {
    const auto array = *arrow::json::ArrayFromJSONString(type, json);
    const std::string path = folder_.path() + "/a.parquet";
    ParquetOptions options;
    options.columns = {{"x", ColumnType::kArrow, nullable, *type_text(written_type(type))}};
    options.space = space_;
    auto writer = *ParquetWriter::create(path, std::move(options), account_);
    std::string value;
    for (int i = 0; i < kTimes; ++i) {
      for (int64_t row = 0; row < array->length(); ++row) {
        if (array->IsNull(row)) {
          writer->null();
        } else {
          value.clear();
          EXPECT_EQ(append_value(*array, row, size_t{64} << 10, value), std::nullopt);
          writer->text(value);
        }
        EXPECT_TRUE(writer->end_row());
      }
    }
    const auto closed = std::move(*writer).close();
    EXPECT_TRUE(closed) << closed.error().message();
    auto file = *ParquetFile::open(*open_source(path), account_);
    std::vector<int> leaves;
    for (int i = 0; i < file->metadata().num_columns(); ++i) leaves.push_back(i);
    EXPECT_TRUE(file->start(leaves, 1000));
    arrow::ArrayVector chunks;
    while (true) {
      auto batch = file->next();
      EXPECT_TRUE(batch) << batch.error().message();
      if (!batch || !*batch) break;
      const auto column = (*batch)->column(0);  // out of the file's pool
      std::unique_ptr<arrow::ArrayBuilder> builder;
      EXPECT_TRUE(arrow::MakeBuilder(arrow::default_memory_pool(), column->type(), &builder).ok());
      EXPECT_TRUE(builder->AppendArraySlice(*column->data(), 0, column->length()).ok());
      chunks.push_back(*builder->Finish());
    }
    return *arrow::ChunkedArray::Make(chunks, written_type(type));
  }
  static std::shared_ptr<arrow::ChunkedArray> many(const std::shared_ptr<arrow::DataType>& type,
                                                   const std::string& json) {
    return *arrow::ChunkedArray::Make(
        arrow::ArrayVector(kTimes, *arrow::json::ArrayFromJSONString(type, json)), type);
  }
  TestFolder folder_;
  const std::shared_ptr<Budget> budget_ = Budget::create(64_MiB);
  const Account account_ = *budget_->open({"test", 0, Bytes(0), std::nullopt});
  const std::shared_ptr<ScratchSpace> space_ =
      *ScratchSpace::create({.folder = folder_.path(), .allow_tmpfs = true});
};

TEST_F(ArrowLeavesTest, ValuesOfEveryShapeComeBack) {
  using namespace arrow;
  const auto required = [](const char* name, std::shared_ptr<DataType> type) {
    return field(name, std::move(type), false);
  };
  const auto pair = struct_({field("a", int32()), required("b", list(utf8()))});
  const std::vector<std::pair<std::shared_ptr<DataType>, std::string>> cases{
      {null(), "[null, null]"},
      {boolean(), "[true, null, false]"},
      {timestamp(TimeUnit::MICRO, "Asia/Tokyo"), "[1, null, -5]"},
      {fixed_size_binary(3), R"(["abc", null])"},
      {large_utf8(), "[\"" + std::string(3000, 'x') + "\", null, \"\"]"},
      {decimal128(9, 2), R"(["1.23", null])"},
      {list(int64()), "[[1, null], [], null, [3]]"},
      {list(required("item", int64())), "[[1, 2], [], null, [3]]"},
      {list(list(boolean())), "[[[true], null, []], [], null, [[null, false]]]"},
      {list(null()), "[[null, null], [], null]"},
      {fixed_size_list(int8(), 2), "[[1, null], [2, 3]]"},
      {pair, R"([{"a": 1, "b": ["x", null]}, null, {"a": null, "b": []}])"},
      {list(pair), R"([[{"a": 1, "b": ["x"]}, null], [], null, [{"a": 2, "b": []}]])"},
      {struct_({field("s", struct_({required("t", int32()), field("u", utf8())}))}),
       R"([{"s": null}, null, {"s": {"t": 7, "u": null}}, {"s": {"t": 8, "u": "v"}}])"},
      {map(utf8(), list(int32())), R"([[["k", [1, null]], ["l", null]], [], null])"},
  };
  for (const auto& [type, json] : cases) {
    const auto back = through(type, json, true);
    EXPECT_TRUE(back->Equals(*many(type, json))) << type->ToString() << back->ToString();
  }
  for (const auto& [type, json] : {cases[3], cases[7], cases[10]}) {
    std::string there = json;  // of a column that is never null
    for (size_t at;
         (at = there.find(", null")) != std::string::npos && type->id() != Type::FIXED_SIZE_LIST;)
      there.erase(at, 6);
    const auto back = through(type, there, false);
    EXPECT_TRUE(back->Equals(*many(type, there))) << type->ToString() << back->ToString();
  }
}

TEST(ArrowValue, TypesThatParquetLacksAreNone) {
  for (const auto& type : {arrow::month_day_nano_interval(), arrow::struct_({}),
                           arrow::list(arrow::day_time_interval()),
                           arrow::dense_union({arrow::field("a", arrow::int32())})})
    EXPECT_EQ(written_type(type), nullptr) << type->ToString();
  const auto coded = arrow::list(arrow::dictionary(arrow::int8(), arrow::utf8()));
  EXPECT_TRUE(written_type(coded)->Equals(arrow::list(arrow::utf8())));
}

TEST(ArrowValue, TextThatIsNoUtf8IsTold) {
  arrow::StringBuilder builder;
  ASSERT_TRUE(builder.Append("\xe9").ok());
  std::string out;
  EXPECT_NE(append_value(**builder.Finish(), 0, size_t{64} << 10, out), std::nullopt);
}

// However long a list or a text is: it is not gathered first.
TEST(ArrowValue, WhatIsTooLongIsToldBeforeItGrows) {
  constexpr size_t kMost = 1000;
  arrow::ListBuilder list(arrow::default_memory_pool(), std::make_shared<arrow::Int64Builder>());
  ASSERT_TRUE(list.Append().ok());
  for (int i = 0; i < 1'000'000; ++i)
    ASSERT_TRUE(static_cast<arrow::Int64Builder*>(list.value_builder())->Append(i).ok());
  arrow::StringBuilder text;
  ASSERT_TRUE(text.Append(std::string(1'000'000, 'x')).ok());
  for (const auto& array : {*list.Finish(), *text.Finish()}) {
    std::string out;
    EXPECT_EQ(append_value(*array, 0, kMost, out), kValueTooLong);
    EXPECT_LT(out.size(), 2 * kMost);
  }
}

}  // namespace
}  // namespace spillway::format
