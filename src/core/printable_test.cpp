#include "core/printable.hpp"

#include <gtest/gtest.h>

#include "core/result.hpp"

namespace spillway {
namespace {

using namespace std::string_literals;

TEST(Printable, KeepsWhatCanBeReadAndEscapesTheRest) {
  EXPECT_EQ(printable("C/C=C\\C (\xc3\xa4)"), "C/C=C\\C (\xc3\xa4)");
  EXPECT_EQ(printable("a\x1b[2Jb\n\t\0\x7f"s), "a\\x1b[2Jb\\n\\t\\x00\\x7f");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xc0\xaf\xed\xa0\x80"), "\\xc0\\xaf\\xed\\xa0\\x80");  // overlong, surrogate
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "gpj\xc2\x9b"),
            "\\xe2\\x80\\xaegpj\\xc2\\x9b");
}

TEST(Printable, CutsAndSaysHowLongItWas) {
  EXPECT_EQ(printable(std::string(2000, 'x'), 4), "xxxx... (2,000 bytes)");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("ab\xc3\xa4", 3), "ab\xc3\xa4");  // not within a character
}

TEST(Printable, TellsUtf8) {
  EXPECT_TRUE(is_utf8("a\xc3\xa4\n\xf0\x9f\x98\x80"));
  for (const char* wrong : {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
    EXPECT_FALSE(is_utf8(wrong)) << wrong;
}

TEST(Printable, NoErrorTellsASecret) {
  for (const char* const scheme : {"http", "HTTPS", "s3", "precomputed://https"}) {
    const std::string begin = std::string(scheme) + "://";
    EXPECT_EQ(without_secrets("reading " + begin + "me:secret@host/a@b?sig=secret&x=1: not found"),
              "reading " + begin + "host/a@b?...: not found");
    EXPECT_EQ(without_secrets(begin + "host/a?..."), begin + "host/a?...");
    EXPECT_EQ(
        without_secrets("'" + begin + "host?secret' or '" + begin + "s@b', (" + begin + "c?s)"),
        "'" + begin + "host?...' or '" + begin + "b', (" + begin + "c?...)");
    EXPECT_EQ(Error(Code::kIo, begin + "host/a?secret").message(), begin + "host/a?...");
    EXPECT_EQ(Error(Code::kIo, "no").with(begin + "host/a?secret").message(),
              begin + "host/a?...: no");
  }
  EXPECT_EQ(without_secrets("is it there? a@b"), "is it there? a@b");
  EXPECT_EQ(without_secrets("http://a?u=http://b?s"), "http://a?...");
  EXPECT_EQ(without_secrets("://"), "://");
}

TEST(Printable, NoErrorCarriesControlBytesOrABook) {
  const Error error(Code::kInvalid, "bad \x1b]0;title\x07 name\nledger");
  EXPECT_EQ(error.message(), "bad \\x1b]0;title\\x07 name\nledger");
  EXPECT_LT(Error(Code::kInvalid, std::string(1 << 20, 'x')).message().size(), size_t{20000});
}

}  // namespace
}  // namespace spillway
