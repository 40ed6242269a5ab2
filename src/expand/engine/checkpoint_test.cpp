#include "expand/engine/checkpoint.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace spillway::expand {
namespace {

const Checkpoint kSome{R"({"format":1,"problem":"pancake"})", "bits-48",
                       R"({"place":[0,1,2],"branching":0.1,"none":null})"};

TEST(Checkpoint, ComesBackAsItWasAndIsJson) {
  const std::string text = checkpoint_text(kSome);
  const auto again = parse_checkpoint(text);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->configuration, kSome.configuration);
  EXPECT_EQ(again->packing, kSome.packing);
  EXPECT_EQ(again->search, kSome.search);
  EXPECT_EQ(nlohmann::json::parse(text)["search"]["place"][2], 2);
}

TEST(Checkpoint, IsRefusedWhenAnyByteDiffers) {
  const std::string text = checkpoint_text(kSome);
  for (size_t length = 0; length < text.size(); ++length) {
    const auto cut = parse_checkpoint(text.substr(0, length));
    ASSERT_FALSE(cut) << length;
    EXPECT_EQ(cut.error().code(), Code::kCorrupt);
  }
  for (size_t at = 0; at < text.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const auto wrong = parse_checkpoint(flipped);
      ASSERT_FALSE(wrong) << at << " " << bit;
      EXPECT_EQ(wrong.error().code(), Code::kCorrupt);
    }
  }
  EXPECT_FALSE(parse_checkpoint(text + " "));
}

}  // namespace
}  // namespace spillway::expand
