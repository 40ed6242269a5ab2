// Answers come out the same however they are cut into pieces; canonical JSON is its own canonical form.
#include <algorithm>
#include <string>
#include <vector>

#include "expand/foreign/pipe_answer.hpp"
#include "fuzz.hpp"

using namespace spillway;
using namespace spillway::expand;

namespace {

class Gather final : public AnswerSink {
 public:
  std::string said;
  Result<void> state(std::span<const uint8_t> bytes) override {
    MUST(bytes.size() <= kMaxPipeState);
    said += "s" + std::to_string(bytes.size()) + ":" + std::string(text_of(bytes));
    return {};
  }
  void end_answer() override { said += "."; }
};

// What all of `wire` means, fed `piece` bytes at a time.
std::string meaning(PipeFormat format, uint32_t answers, std::span<const uint8_t> wire,
                    size_t piece) {
  const auto decoder = make_answer_decoder(format);
  decoder->expect(answers);
  Gather sink;
  while (!wire.empty() && !decoder->is_done()) {
    const auto part = wire.first(std::min(piece, wire.size()));
    const auto used = decoder->feed(part, sink);
    if (!used) {  // its message quotes what has arrived, which is as it was cut
      MUST(used.error().code() == Code::kInvalid && !used.error().message().empty());
      return sink.said + "failed";
    }
    MUST(*used <= part.size());
    MUST(*used == part.size() || decoder->is_done());
    wire = wire.subspan(*used);
  }
  return sink.said + (decoder->is_done() ? "done" : decoder->place());
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto format = data[0] % 2 == 0 ? PipeFormat::kFrames : PipeFormat::kJson;
  const uint32_t answers = 1 + data[0] / 2 % 4;
  const size_t piece = 1 + data[1] % 17;
  const std::span<const uint8_t> wire(data + 2, size - 2);
  const std::string whole = meaning(format, answers, wire, wire.size() + 1);
  const std::string pieces = meaning(format, answers, wire, piece);
  if (whole != pieces)
    std::fprintf(stderr, "whole: %s\npieces: %s\n", whole.c_str(), pieces.c_str());
  MUST(whole == pieces);
  if (const auto canonical = canonical_json(text_of(wire))) {
    const auto again = canonical_json(*canonical);
    MUST(again && *again == *canonical);
  }
  return 0;
}
