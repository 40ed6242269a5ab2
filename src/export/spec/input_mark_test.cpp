#include "export/spec/input_mark.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "core/test_folder.hpp"

namespace spillway::exporter {
namespace {

void write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string glance(const std::string& path) {
  auto seen = glance_at(path);
  EXPECT_TRUE(seen) << seen.error().message();
  return seen ? *std::move(seen) : "";
}

TEST(InputMark, GlanceSeesSizeAndBothEnds) {
  const TestFolder folder;
  const std::string path = folder.path() + "/input";
  std::string content(300000, 'a');
  write(path, content);
  const std::string first = glance(path);
  EXPECT_EQ(glance(path), first);
  for (const size_t at : {size_t{0}, size_t{65535}, size_t{300000 - 65536}, size_t{299999}}) {
    std::string other = content;
    other[at] = 'b';
    write(path, other);
    EXPECT_NE(glance(path), first) << at;
  }
  write(path, content + "a");
  EXPECT_NE(glance(path), first);
  content[150000] = 'b';  // only reading it all would see this
  write(path, content);
  EXPECT_EQ(glance(path), first);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{70000}, size_t{131072}}) {
    write(path, std::string(size, 'c'));
    EXPECT_FALSE(glance(path).empty()) << size;
  }
  EXPECT_EQ(glance("-"), "");
  EXPECT_EQ(glance("http://host/blocks"), "");
}

TEST(InputMark, GlanceAtAFolderSeesNamesAndSizes) {
  const TestFolder folder;
  write(folder.path() + "/a", "12");
  write(folder.path() + "/b", "345");
  const std::string first = glance(folder.path());
  write(folder.path() + "/b", "678");
  EXPECT_EQ(glance(folder.path()), first);
  write(folder.path() + "/b", "6789");
  const std::string longer = glance(folder.path());
  EXPECT_NE(longer, first);
  write(folder.path() + "/c", "");
  EXPECT_NE(glance(folder.path()), longer);
  EXPECT_TRUE(*last_change(folder.path()));
  EXPECT_FALSE(*last_change("-"));
}

TEST(InputMark, SumIsTheSameInAnyOrderAndFromAnyParts) {
  const std::array<uint8_t, 3> a{1, 2, 3}, b{4, 5, 6}, c{7, 8, 9};
  ContentSum one, left, right, twice;
  for (const auto& item : {a, b, c}) one.add(item);
  right.add(a);
  left.add(c);
  left.add(b);
  left.join(right);
  EXPECT_EQ(left.hex(), one.hex());
  for (const auto& item : {a, b, c, c}) twice.add(item);
  EXPECT_NE(twice.hex(), one.hex());
  EXPECT_NE(ContentSum().hex(), one.hex());
}

}  // namespace
}  // namespace spillway::exporter
