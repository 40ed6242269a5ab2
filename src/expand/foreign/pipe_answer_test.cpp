#include "expand/foreign/pipe_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace spillway::expand {
namespace {

using testing::HasSubstr;

using Lists = std::vector<std::vector<std::string>>;

class Gather final : public AnswerSink {
 public:
  Lists lists;
  std::vector<std::string> open;
  Result<void> state(std::span<const uint8_t> bytes) override {
    open.emplace_back(bytes.begin(), bytes.end());
    return {};
  }
  void end_answer() override { lists.push_back(std::exchange(open, {})); }
};

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string number(size_t value) {
  std::string text;
  for (unsigned i = 0; i < 4; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

std::string frames(const Lists& lists) {
  std::string wire;
  for (const auto& list : lists) {
    wire += number(list.size());
    for (const std::string& state : list) wire += number(state.size()) + state;
  }
  return wire;
}

// What decoding `wire` as `answers` answers fails with; "" when it does not.
std::string error_of(PipeFormat format, std::string_view wire, uint32_t answers = 1) {
  const auto decoder = make_answer_decoder(format);
  decoder->expect(answers);
  Gather sink;
  const auto fed = decoder->feed(bytes_of(wire), sink);
  return fed ? "" : fed.error().message();
}

// The states of one answer, fed whole.
std::vector<std::string> json_states(std::string_view line) {
  const auto decoder = make_answer_decoder(PipeFormat::kJson);
  decoder->expect(1);
  Gather sink;
  const auto fed = decoder->feed(bytes_of(line), sink);
  if (!fed || !decoder->is_done()) {
    ADD_FAILURE() << line << ": " << (fed ? "not done" : fed.error().message());
    return {};
  }
  return sink.lists.at(0);
}

std::string canonical(std::string_view text) {
  const auto made = canonical_json(text);
  return made ? *made : "error: " + made.error().message();
}

RC_GTEST_PROP(PipeFrames, ComeBackWhateverThePieces, (Lists lists, uint8_t step)) {
  RC_PRE(!lists.empty());
  for (auto& list : lists) std::erase_if(list, [](const std::string& s) { return s.empty(); });
  const std::string wire = frames(lists);
  const auto decoder = make_answer_decoder(PipeFormat::kFrames);
  decoder->expect(static_cast<uint32_t>(lists.size()));
  Gather sink;
  for (size_t at = 0; at < wire.size();) {
    RC_ASSERT(!decoder->is_done());
    const size_t part = std::min<size_t>(step + 1u, wire.size() - at);
    const auto used = decoder->feed(bytes_of(wire).subspan(at, part), sink);
    RC_ASSERT(used.has_value() && *used == part);
    at += part;
  }
  RC_ASSERT(decoder->is_done());
  RC_ASSERT(sink.lists == lists);
}

RC_GTEST_PROP(PipeFrames, NeverFailOtherThanInWordsOnAnyBytes,
              (std::string wire, uint8_t answers)) {
  const auto decoder = make_answer_decoder(PipeFormat::kFrames);
  decoder->expect(answers + 1u);
  Gather sink;
  const auto used = decoder->feed(bytes_of(wire), sink);
  if (used) RC_ASSERT(*used == wire.size() || decoder->is_done());
  if (!used) RC_ASSERT(used.error().code() == Code::kInvalid);
}

TEST(PipeFrames, AreIncompleteAtEveryByteBeforeTheLast) {
  const Lists lists{{"a", "bcd"}, {}, {std::string(300, 'x')}};
  const std::string wire = frames(lists);
  for (size_t cut = 0; cut < wire.size(); ++cut) {
    const auto decoder = make_answer_decoder(PipeFormat::kFrames);
    decoder->expect(3);
    Gather sink;
    const auto used = decoder->feed(bytes_of(wire).first(cut), sink);
    ASSERT_TRUE(used.has_value()) << cut;
    EXPECT_EQ(*used, cut);
    EXPECT_FALSE(decoder->is_done()) << cut;
  }
}

TEST(PipeFrames, SayHowFarTheyCame) {
  const auto decoder = make_answer_decoder(PipeFormat::kFrames);
  decoder->expect(2);
  Gather sink;
  EXPECT_EQ(decoder->place(), "before answer 1");
  ASSERT_TRUE(decoder->feed(bytes_of(number(0)), sink).has_value());
  EXPECT_EQ(decoder->place(), "before answer 2");
  ASSERT_TRUE(decoder->feed(bytes_of("\1"), sink).has_value());
  EXPECT_EQ(decoder->place(), "in the middle of answer 2");
}

TEST(PipeFrames, LeaveWhatWasNotAskedFor) {
  const auto decoder = make_answer_decoder(PipeFormat::kFrames);
  decoder->expect(1);
  Gather sink;
  const auto used = decoder->feed(bytes_of(frames({{"a"}}) + "more"), sink);
  ASSERT_TRUE(used.has_value());
  EXPECT_EQ(*used, 9u);
  EXPECT_TRUE(decoder->is_done());
}

TEST(PipeFrames, RefuseCountsAndLengthsBeyondTheLimits) {
  EXPECT_EQ(error_of(PipeFormat::kFrames, number(kMaxPipeStates)), "");
  EXPECT_THAT(error_of(PipeFormat::kFrames, number(kMaxPipeStates + 1)),
              HasSubstr("answer 1 would have 1,048,577 states (at most 1,048,576"));
  EXPECT_THAT(error_of(PipeFormat::kFrames, number(1) + number(0)),
              HasSubstr("a state of 0 bytes"));
  EXPECT_EQ(error_of(PipeFormat::kFrames, number(1) + number(kMaxPipeState)), "");
  EXPECT_THAT(error_of(PipeFormat::kFrames, number(0) + number(1) + number(kMaxPipeState + 1), 2),
              HasSubstr("answer 2 has a state of 65,537 bytes (1 to 65,536"));
  EXPECT_THAT(error_of(PipeFormat::kFrames, "\xFF\xFF\xFF\xFF"), HasSubstr("4,294,967,295"));
}

TEST(PipeFrames, ShowWordsThatStandWhereANumberBelongs) {
  EXPECT_THAT(error_of(PipeFormat::kFrames, "hello world\n"),
              HasSubstr("as text its number is 'hell'"));
}

TEST(PipeJson, StandsForStatesByCanonicalText) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(json_states("[]\n"), Strings{});
  EXPECT_EQ(json_states(" [ ] \r\n"), Strings{});
  EXPECT_EQ(json_states("[1]\n"), Strings{"1"});
  EXPECT_EQ(json_states("[ 1 , [2, 3],{\"b\" : 1, \"a\":[ ]}, \"x, [y]\\\"\" ]\n"),
            (Strings{"1", "[2,3]", "{\"a\":[],\"b\":1}", "\"x, [y]\\\"\""}));
  EXPECT_EQ(json_states("[true,false,-7,0.5]\n"), (Strings{"true", "false", "-7", "0.5"}));
}

TEST(PipeJson, IsIncompleteAtEveryByteBeforeTheLast) {
  const std::string line = "[[1, 2], {\"a\": \"]\\\"\\u00e9\"}, -3]\n";
  for (size_t cut = 0; cut < line.size(); ++cut) {
    const auto decoder = make_answer_decoder(PipeFormat::kJson);
    decoder->expect(1);
    Gather sink;
    const auto used = decoder->feed(bytes_of(line).first(cut), sink);
    ASSERT_TRUE(used.has_value()) << cut << ": " << used.error().message();
    EXPECT_EQ(*used, cut);
    EXPECT_FALSE(decoder->is_done()) << cut;
    // And an end of line there is an error.
    if (cut + 1 < line.size()) {
      EXPECT_NE(error_of(PipeFormat::kJson, line.substr(0, cut) + "\n"), "") << cut;
    }
  }
}

RC_GTEST_PROP(PipeJson, ComesBackWhateverThePieces, (Lists lists, uint8_t step)) {
  RC_PRE(!lists.empty());
  std::string wire;
  Lists expected;
  for (const auto& list : lists) {
    nlohmann::json array = nlohmann::json::array();
    expected.emplace_back();
    for (const std::string& text : list) {
      // Any bytes, as a list of numbers and as the name of a member.
      nlohmann::json state{{"list", nlohmann::json(std::vector<uint8_t>(text.begin(), text.end()))},
                           {std::to_string(text.size()), nullptr}};
      expected.back().push_back(state.dump());
      array.push_back(std::move(state));
    }
    wire += array.dump() + "\n";
  }
  const auto decoder = make_answer_decoder(PipeFormat::kJson);
  decoder->expect(static_cast<uint32_t>(lists.size()));
  Gather sink;
  for (size_t at = 0; at < wire.size();) {
    const size_t part = std::min<size_t>(step + 1u, wire.size() - at);
    const auto used = decoder->feed(bytes_of(wire).subspan(at, part), sink);
    RC_ASSERT(used.has_value() && *used == part);
    at += part;
  }
  RC_ASSERT(decoder->is_done());
  RC_ASSERT(sink.lists == expected);
}

RC_GTEST_PROP(PipeJson, NeverFailsOtherThanInWordsOnAnyBytes, (std::string wire)) {
  const auto decoder = make_answer_decoder(PipeFormat::kJson);
  decoder->expect(3);
  Gather sink;
  const auto used = decoder->feed(bytes_of("[" + wire), sink);
  if (!used) RC_ASSERT(used.error().code() == Code::kInvalid);
}

TEST(PipeJson, RefusesIntegersItWouldHaveToRound) {
  EXPECT_EQ(canonical("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(canonical("-9223372036854775808"), "-9223372036854775808");
  for (const char* text : {"18446744073709551616", "-9223372036854775809",
                           "[1,[99999999999999999999]]", "{\"a\":100000000000000000000000}"}) {
    EXPECT_THAT(canonical(text), HasSubstr("which does not fit 64 bits (write it as a string)"))
        << text;
  }
  // Named by its line.
  EXPECT_THAT(error_of(PipeFormat::kJson, "[1]\n[1,123456789012345678901]\n", 2),
              HasSubstr("line 2 with the integer 123456789012345678901, which"));
}

TEST(PipeJson, KeepsNumbersWithAFractionAsTheirDoubles) {
  EXPECT_EQ(canonical("1.50"), "1.5");
  EXPECT_EQ(canonical("15e-1"), "1.5");
  EXPECT_EQ(canonical("1.0"), "1.0");
  EXPECT_EQ(canonical("-0.0"), "0.0");
  EXPECT_EQ(canonical("1e20"), "1e+20");
  EXPECT_THAT(canonical("1e999"), HasSubstr("not JSON"));
}

TEST(PipeJson, RefusesWhatIsNoStateOrNotJson) {
  EXPECT_THAT(error_of(PipeFormat::kJson, "[null]\n"), HasSubstr("the state null"));
  EXPECT_THAT(error_of(PipeFormat::kJson, "[1,]\n"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(PipeFormat::kJson, "[,1]\n"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(PipeFormat::kJson, "[1 2]\n"), HasSubstr("not JSON: '1 2'"));
  EXPECT_THAT(error_of(PipeFormat::kJson, "[{\"a\":1,\"a\":2}]\n"), HasSubstr("\"a\" twice"));
  EXPECT_THAT(error_of(PipeFormat::kJson, "[\"\xFF\"]\n"), HasSubstr("not JSON"));
  EXPECT_THAT(
      error_of(PipeFormat::kJson, "[" + std::string(65, '[') + std::string(65, ']') + "]\n"),
      HasSubstr("more than 64 levels"));
  for (const char* line : {"\n", "{}\n", "hello world\n", "[1] 2\n", "[1]]\n", "[1}\n", "]\n"}) {
    const std::string said = error_of(PipeFormat::kJson, line);
    EXPECT_THAT(said,
                testing::AnyOf(HasSubstr("is not one JSON array of states"), HasSubstr("not JSON")))
        << line;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
  EXPECT_THAT(error_of(PipeFormat::kJson, "hello world\n"), HasSubstr("'hello world'"));
}

TEST(PipeJson, RefusesStatesBeyondTheLimit) {
  const std::string largest = "[\"" + std::string(kMaxPipeState - 2, 'x') + "\"]\n";
  EXPECT_EQ(error_of(PipeFormat::kJson, largest), "");
  const std::string larger = "[\"" + std::string(kMaxPipeState - 1, 'x') + "\"]\n";
  EXPECT_THAT(error_of(PipeFormat::kJson, larger),
              HasSubstr("line 1 with a state of more than 65,536 bytes"));
  // Short as it came, long as it is kept: 1e5 becomes 100000.0.
  std::string growing = "[[1e5";
  for (int i = 0; i < 16000; ++i) growing += ",1e5";
  EXPECT_THAT(error_of(PipeFormat::kJson, growing + "]]\n"), HasSubstr("more than 65,536 bytes"));
}

}  // namespace
}  // namespace spillway::expand
