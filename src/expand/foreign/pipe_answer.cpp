#include "expand/foreign/pipe_answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "core/bytes.hpp"
#include "core/json.hpp"

namespace spillway::expand {
namespace {

constexpr size_t kMostLevels = 64;
constexpr size_t kShown = 60;  // bytes of an answer in a message

// At most kShown bytes, on one line.
std::string shown(std::string_view text) {
  std::string line(text.substr(0, kShown));
  for (char& c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F) c = '?';
  }
  return text.size() > kShown ? line + "..." : line;
}

bool is_text(std::span<const uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](uint8_t c) { return (c >= 0x20 && c < 0x7F) || c == '\n'; });
}

class FrameDecoder final : public AnswerDecoder {
 public:
  void expect(uint32_t answers) override { answers_left_ = answers; }
  bool is_done() const override { return answers_left_ == 0; }
  std::string place() const override {
    const bool begun = next_ != Next::kCount || filled_ > 0;
    return fmt::format("{} answer {}", begun ? "in the middle of" : "before", complete_ + 1);
  }

  Result<size_t> feed(std::span<const uint8_t> bytes, AnswerSink& sink) override {
    size_t used = 0;
    while (!is_done()) {
      const std::span<uint8_t> room =
          next_ == Next::kState ? std::span(state_).first(length_) : std::span<uint8_t>(number_);
      const size_t part = std::min(room.size() - filled_, bytes.size() - used);
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(used), part,
                  room.begin() + static_cast<ptrdiff_t>(filled_));
      used += part;
      filled_ += part;
      if (filled_ < room.size()) break;
      filled_ = 0;
      TRY(take(sink));
    }
    return used;
  }

 private:
  enum class Next { kCount, kLength, kState };

  Result<void> take(AnswerSink& sink) {
    switch (next_) {
      case Next::kCount:
        states_left_ = number();
        if (states_left_ > kMaxPipeStates) {
          return nonsense(fmt::format("would have {} states (at most {} are allowed)",
                                      grouped(states_left_), grouped(kMaxPipeStates)));
        }
        break;
      case Next::kLength:
        length_ = number();
        if (length_ == 0 || length_ > kMaxPipeState) {
          return nonsense(fmt::format("has a state of {} bytes (1 to {} are allowed)",
                                      grouped(length_), grouped(kMaxPipeState)));
        }
        next_ = Next::kState;
        return {};
      case Next::kState:
        TRY(sink.state(std::span<const uint8_t>(state_).first(length_)));
        --states_left_;
        break;
    }
    next_ = Next::kLength;
    if (states_left_ > 0) return {};
    sink.end_answer();
    ++complete_;
    --answers_left_;
    next_ = Next::kCount;
    return {};
  }
  Result<void> nonsense(const std::string& what) const {
    // Who prints words where frames belong sees a huge number; the words tell more.
    const std::string hint =
        is_text(number_) ? fmt::format("; as text its number is '{}'",
                                       shown({reinterpret_cast<const char*>(number_.data()), 4}))
                         : "";
    return fail(Code::kInvalid,
                fmt::format("gave nonsense: answer {} {}{}", complete_ + 1, what, hint));
  }
  uint32_t number() const {
    return uint32_t{number_[0]} | uint32_t{number_[1]} << 8 | uint32_t{number_[2]} << 16 |
           uint32_t{number_[3]} << 24;
  }

  std::vector<uint8_t> state_ = std::vector<uint8_t>(kMaxPipeState);
  std::array<uint8_t, 4> number_{};
  Next next_ = Next::kCount;
  size_t filled_ = 0;  // of number_ or state_
  uint32_t length_ = 0, states_left_ = 0, answers_left_ = 0;
  uint64_t complete_ = 0;
};

// Splits the array of a line at its top level, and reads each element on its own.
class JsonDecoder final : public AnswerDecoder {
 public:
  void expect(uint32_t answers) override { answers_left_ = answers; }
  bool is_done() const override { return answers_left_ == 0; }
  std::string place() const override {
    return fmt::format("{} line {}", begin_.empty() ? "before" : "in the middle of", complete_ + 1);
  }

  Result<size_t> feed(std::span<const uint8_t> bytes, AnswerSink& sink) override {
    size_t used = 0;
    while (!is_done() && used < bytes.size()) {
      const char c = static_cast<char>(bytes[used++]);
      if (begin_.size() <= kShown && c != '\n') begin_ += c;
      if (TRY(take(c, sink))) continue;
      // Not an array: what follows on the line makes a better message.
      for (; used < bytes.size() && bytes[used] != '\n' && begin_.size() <= kShown; ++used)
        begin_ += static_cast<char>(bytes[used]);
      return fail(Code::kInvalid,
                  fmt::format("gave nonsense: line {} is not one JSON array of states: '{}'",
                              complete_ + 1, shown(begin_)));
    }
    return used;
  }

 private:
  enum class At { kBefore, kInside, kAfter };

  // False: the line is no array.
  Result<bool> take(char c, AnswerSink& sink) {
    if (c == '\n') return end_line(sink);
    const bool blank = c == ' ' || c == '\t' || c == '\r';
    if (at_ == At::kInside) return inside(c, sink);
    if (blank) return true;
    if (at_ == At::kAfter || c != '[') return false;
    at_ = At::kInside;
    return true;
  }

  Result<bool> inside(char c, AnswerSink& sink) {
    const bool between = levels_ == 0 && !in_string_;
    if (between && c == ',') {
      TRY(element(sink));
      return true;
    }
    if (between && c == ']') {
      at_ = At::kAfter;
      const bool empty = text_.find_first_not_of(" \t\r") == std::string::npos;
      if (!empty || count_ > 0) TRY(element(sink));
      return true;
    }
    if (text_.size() == kMaxPipeState) return too_large();
    text_ += c;
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return true;
    }
    if (c == '"') in_string_ = true;
    if (c == '[' || c == '{') ++levels_;
    if (c == ']' || c == '}') --levels_;
    return levels_ >= 0;
  }

  Result<void> element(AnswerSink& sink) {
    if (++count_ > kMaxPipeStates) {
      return fail(Code::kInvalid, fmt::format("gave nonsense: line {} has more than {} states",
                                              complete_ + 1, grouped(kMaxPipeStates)));
    }
    auto text = canonical_json(text_);
    if (!text) {
      return fail(Code::kInvalid,
                  fmt::format("gave line {} with {}", complete_ + 1, text.error().message()));
    }
    if (*text == "null") {
      return fail(Code::kInvalid,
                  fmt::format("gave line {} with the state null, which asks for the initial states",
                              complete_ + 1));
    }
    text_.clear();
    if (text->size() > kMaxPipeState) return fail(too_large().error().clone());
    return sink.state({reinterpret_cast<const uint8_t*>(text->data()), text->size()});
  }

  Result<bool> too_large() const {
    return fail(Code::kInvalid, fmt::format("gave line {} with a state of more than {} bytes",
                                            complete_ + 1, grouped(kMaxPipeState)));
  }

  Result<bool> end_line(AnswerSink& sink) {
    if (at_ != At::kAfter) return false;
    sink.end_answer();
    ++complete_;
    --answers_left_;
    at_ = At::kBefore;
    begin_.clear();
    count_ = 0;
    return true;
  }

  std::string text_;   // of the element; at most kMaxPipeState
  std::string begin_;  // of the line; at most kShown + 1
  At at_ = At::kBefore;
  int levels_ = 0;
  bool in_string_ = false, escaped_ = false;
  uint32_t count_ = 0, answers_left_ = 0;
  uint64_t complete_ = 0;
};

// Writes the canonical text while nlohmann's parser reads; a false return stops it.
class Canonical {
 public:
  using Parser = Json;

  bool null() { return value("null"); }
  bool boolean(bool is) { return value(is ? "true" : "false"); }
  bool number_integer(Parser::number_integer_t number) { return value(fmt::format("{}", number)); }
  bool number_unsigned(Parser::number_unsigned_t number) {
    return value(fmt::format("{}", number));
  }
  bool number_float(Parser::number_float_t number, const std::string& text) {
    // What the parser cannot hold as an integer it hands over rounded.
    if (text.find_first_of(".eE") == std::string::npos) {
      return refuse(fmt::format("the integer {}, which does not fit 64 bits (write it as a string)",
                                shown(text)));
    }
    return value(Parser(number == 0 ? 0.0 : number).dump());  // -0.0 is 0.0
  }
  bool string(std::string& text) { return value(Parser(text).dump()); }
  bool binary(Parser::binary_t&) { return refuse("binary"); }

  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(std::string& name) {
    open_.back().name = Parser(name).dump();
    if (open_.back().members.contains(open_.back().name))
      return refuse(fmt::format("an object that has {} twice", shown(open_.back().name)));
    return true;
  }
  bool end_object() {
    std::string text = "{";
    for (const auto& [name, member] : open_.back().members) {
      if (text.size() > 1) text += ',';
      text.append(name).append(":").append(member);
    }
    open_.pop_back();
    return value(text + "}");
  }
  bool end_array() {
    const std::string text = std::move(open_.back().text);
    open_.pop_back();
    return value("[" + text + "]");
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

  const std::string& text() const { return text_; }
  const std::string& fault() const { return fault_; }

 private:
  struct Open {
    bool is_object;
    std::string text;                            // of an array's elements
    std::map<std::string, std::string> members;  // of an object, by name as text
    std::string name;                            // of the member being read
  };

  bool open(bool is_object) {
    if (open_.size() == kMostLevels)
      return refuse(fmt::format("JSON of more than {} levels", kMostLevels));
    open_.push_back({is_object, {}, {}, {}});
    return true;
  }
  bool value(std::string_view text) {
    if (open_.empty()) {
      text_ = text;
      return true;
    }
    Open& open = open_.back();
    if (open.is_object) {
      open.members.emplace(open.name, text);
    } else {
      if (!open.text.empty()) open.text += ',';
      open.text += text;
    }
    return true;
  }
  bool refuse(std::string why) {
    fault_ = std::move(why);
    return false;
  }

  std::vector<Open> open_;  // at most kMostLevels
  std::string text_, fault_;
};

}  // namespace

Result<std::string> canonical_json(std::string_view text) {
  Canonical canonical;
  if (Json::sax_parse(text.begin(), text.end(), &canonical)) return canonical.text();
  return fail(Code::kInvalid, canonical.fault().empty()
                                  ? fmt::format("text that is not JSON: '{}'", shown(text))
                                  : canonical.fault());
}

std::unique_ptr<AnswerDecoder> make_answer_decoder(PipeFormat format) {
  if (format == PipeFormat::kJson) return std::make_unique<JsonDecoder>();
  return std::make_unique<FrameDecoder>();
}

}  // namespace spillway::expand
