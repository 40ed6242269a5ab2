#include "export/spec/input_stream.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/file/output.hpp"
#include "core/test_folder.hpp"

namespace spillway::exporter {
namespace {

TEST(InputStream, SmallInputsHaveALimit) {
  TestFolder folder;
  const std::string path = folder.path() + "/a";
  ASSERT_TRUE(write_durably(path, "0123456789"));
  EXPECT_EQ(*read_small_input(path, 10, {}), "0123456789");
  const auto refused = read_small_input(path, 9, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kTooLarge);
}

TEST(InputStream, AnotherSchemeIsRefused) {
  const auto refused = open_input("ftp://host/a", ByteStream::Gzip::kNever);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kUsage);
}

}  // namespace
}  // namespace spillway::exporter
