// The answers of a pipe program, decoded as they arrive; docs/plugins.md describes the protocol.
//
// An answer is a list of states: the successors of one state, or the initial states. A decoder takes
// the bytes in pieces of any size and hands over every state once it is complete. It knows nothing
// of processes.
//
// Memory   One state (frames), or the text of one (JSON), at most a few times kMaxPipeState. Never a
//          whole answer.
// Threads  One owner.
// Fails    kInvalid, a phrase that follows the program's name: "gave nonsense: answer 3 has ...". No
//          length is believed before it is compared with its limit.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::expand {

inline constexpr uint32_t kMaxPipeState = 65536;      // bytes; for JSON also of the text as it came
inline constexpr uint32_t kMaxPipeStates = 1u << 20;  // of one answer

enum class PipeFormat { kFrames, kJson };

// Gets the states of the answers, in order.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  [[nodiscard]] virtual Result<void> state(std::span<const uint8_t> bytes) = 0;  // valid meanwhile
  virtual void end_answer() = 0;
};

class AnswerDecoder {
 public:
  virtual ~AnswerDecoder() = default;
  // `answers` more are expected (at least 1). Only when is_done().
  virtual void expect(uint32_t answers) = 0;
  // Returns how many of the bytes belong to what is expected; fewer than all only when it is
  // complete. After a failure the decoder is of no further use.
  [[nodiscard]] virtual Result<size_t> feed(std::span<const uint8_t> bytes, AnswerSink& sink) = 0;
  virtual bool is_done() const = 0;
  // "before answer 3", "in the middle of answer 3": what has arrived so far, counted from the start.
  virtual std::string place() const = 0;
};

std::unique_ptr<AnswerDecoder> make_answer_decoder(PipeFormat format);

// The text that stands for a JSON value: no blanks, members sorted by their names,
// strings with the fewest escapes, numbers with a fraction or exponent as the shortest text of
// their double. Equal values have equal texts. Fails (kInvalid, "text that is not JSON") also for
// what the text could not tell apart or hold: integers beyond 64 bits, a member named twice, more
// than 64 levels.
[[nodiscard]] Result<std::string> canonical_json(std::string_view text);

}  // namespace spillway::expand
