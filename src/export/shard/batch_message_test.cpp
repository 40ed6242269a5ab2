#include "export/shard/batch_message.hpp"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <random>

namespace spillway::exporter {
namespace {

TEST(BatchMessage, EqualsWhatArrowMakes) {
  const auto schema = shard_schema();
  auto message = BatchMessage::create(schema);
  ASSERT_TRUE(message) << message.error().message();
  std::mt19937_64 random(17);
  for (int i = 0; i < 300; ++i) {
    const auto below = [&](unsigned bits) { return random() >> (64 - 1 - random() % bits); };
    const BatchShape shape{1 + below(14), below(28), below(31) & 0x7FFFFFFF};
    const auto theirs = batch_message_by_arrow(schema, shape);
    ASSERT_TRUE(theirs) << theirs.error().message();
    const auto ours = message->of(shape);
    ASSERT_EQ(std::vector<uint8_t>(ours.begin(), ours.end()), *theirs)
        << shape.rows << " rows, " << shape.labels << " labels, " << shape.frame_bytes;
  }
}

}  // namespace
}  // namespace spillway::exporter
