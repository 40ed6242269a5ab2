#include "core/json.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace spillway {
namespace {

template <class T>
bool refuses(const char* text) {
  try {
    (void)Json::parse(text).get<T>();
    return false;
  } catch (const nlohmann::json::exception&) {
    return true;
  }
}

TEST(Json, NoNumberBecomesAnother) {
  for (const char* const text :
       {"-1", "1.5", "1e21", "-1e21", "18446744073709551616", "true", "\"1\"", "null"})
    EXPECT_TRUE(refuses<uint64_t>(text)) << text;
  EXPECT_TRUE(refuses<uint8_t>("256"));
  EXPECT_TRUE(refuses<int8_t>("-129"));
  EXPECT_TRUE(refuses<int64_t>("9223372036854775808"));
  EXPECT_TRUE(refuses<std::vector<uint8_t>>("[1,256]"));
  EXPECT_EQ(Json::parse("18446744073709551615").get<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(Json::parse("-9223372036854775808").get<int64_t>(), INT64_MIN);
  EXPECT_EQ(Json::parse("[64.0, 1e3]").get<std::vector<uint32_t>>(),
            (std::vector<uint32_t>{64, 1000}));
  EXPECT_EQ(Json::parse("64").get<double>(), 64);
  EXPECT_TRUE(Json::parse("true").get<bool>());
  EXPECT_TRUE(refuses<bool>("1"));
  const uint32_t implicit = OrderedJson::parse("{\"a\":7}").at("a");
  EXPECT_EQ(implicit, 7u);
  EXPECT_THROW((void)OrderedJson::parse("{\"a\":-7}").value("a", uint64_t{1}),
               nlohmann::json::exception);
}

TEST(Json, IsNotNestedWithoutEnd) {
  for (const size_t deep : {size_t{64}, size_t{65}, size_t{400'000}}) {
    const std::string text = std::string(deep, '[') + std::string(deep, ']');
    EXPECT_EQ(parse_json(text).is_discarded(), deep > 64) << deep;
  }
  EXPECT_EQ(parse_json(R"({"a":"[[\"[","b":[1]})").at("b").at(0), 1);
  EXPECT_TRUE(parse_json("{").is_discarded());
}

}  // namespace
}  // namespace spillway
