#include "expand/pipe.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <atomic>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/procstat.hpp"
#include "expand/pipe_process.hpp"

namespace spillway::expand {
namespace {

constexpr uint32_t kMaxStateBytes = 65536;
constexpr size_t kBatchStates = 256;  // asked in one go
constexpr size_t kBatchBytes = 65536;
constexpr int kMaxNesting = 100;
constexpr uint64_t kAskTwice = 1000;  // every so many states

struct PipeOptions {
  std::vector<std::string> command;
  unsigned copies = 1;
  std::chrono::milliseconds timeout{30000};
  bool json = false;
};

using States = std::vector<std::vector<uint8_t>>;

// Speaks the protocol with one copy of the program.
class Talker {
 public:
  static Result<std::unique_ptr<Talker>> start(const PipeOptions& options) {
    std::unique_ptr<Talker> talker(new Talker(options));
    talker->process_ = TRY(PipeProcess::start(options.command, options.timeout));
    return talker;
  }

  void ask_for_initial() {
    if (json_) {
      line("null");
    } else {
      number(0);
    }
  }
  void ask(const StateBlock& block, size_t first, size_t last) {
    if (!json_) number(static_cast<uint32_t>(last - first));
    for (size_t i = first; i < last; ++i) {
      const std::span<const uint8_t> state = block[i].bytes;
      if (json_) {
        line({reinterpret_cast<const char*>(state.data()), state.size()});
      } else {
        number(static_cast<uint32_t>(state.size()));
        process_->send(state);
      }
    }
  }
  // The answer to the next state asked about.
  Result<States> answer() { return json_ ? answer_line() : answer_frames(); }
  // Whether the program said more than it was asked for.
  bool has_surplus() const { return !rest().empty(); }
  Error error(const std::string& what) { return process_->error(what); }

 private:
  explicit Talker(const PipeOptions& options) : json_(options.json) {}

  void line(std::string_view text) {
    process_->send({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    const uint8_t end = '\n';
    process_->send({&end, 1});
  }
  void number(uint32_t value) {
    uint8_t bytes[4];
    std::memcpy(bytes, &value, 4);
    process_->send(bytes);
  }

  // What is read and not yet used. Compacted when half is used.
  std::span<const uint8_t> rest() const { return std::span(process_->inbox()).subspan(used_); }
  void use(size_t bytes) {
    used_ += bytes;
    std::vector<uint8_t>& inbox = process_->inbox();
    if (used_ * 2 < inbox.size() && used_ < inbox.size()) return;
    inbox.erase(inbox.begin(), inbox.begin() + static_cast<ptrdiff_t>(used_));
    used_ = 0;
  }
  Result<uint32_t> take_number() {
    while (rest().size() < 4) TRY(process_->exchange());
    uint32_t value = 0;
    std::memcpy(&value, rest().data(), 4);
    use(4);
    return value;
  }

  Result<States> answer_frames() {
    const uint32_t count = TRY(take_number());
    if (count > (1u << 20))
      return fail(error(fmt::format("answered nonsense: {} successors of one state", count)));
    States states;
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t size = TRY(take_number());
      if (size == 0 || size > kMaxStateBytes) {
        return fail(error(fmt::format(
            "answered nonsense: a state of {} bytes (1 to {} are allowed)", size, kMaxStateBytes)));
      }
      while (rest().size() < size) TRY(process_->exchange());
      states.emplace_back(rest().begin(), rest().begin() + size);
      use(size);
    }
    return states;
  }

  Result<States> answer_line() {
    size_t end = 0;
    while (true) {
      const auto bytes = rest();
      const auto found = std::find(
          bytes.begin() + static_cast<ptrdiff_t>(std::min(end, bytes.size())), bytes.end(), '\n');
      if (found != bytes.end()) {
        end = static_cast<size_t>(found - bytes.begin());
        break;
      }
      end = bytes.size();
      TRY(process_->exchange());
    }
    bool too_deep = false;
    const auto shallow = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
      too_deep |= depth > kMaxNesting;
      return depth <= kMaxNesting;
    };
    const nlohmann::json list = nlohmann::json::parse(
        rest().begin(), rest().begin() + static_cast<ptrdiff_t>(end), shallow, false);
    if (too_deep) return fail(error("answered with values nested too deep"));
    if (!list.is_array()) {
      const std::string shown(rest().begin(),
                              rest().begin() + static_cast<ptrdiff_t>(std::min<size_t>(end, 60)));
      return fail(
          error(fmt::format("answered nonsense: '{}' is no JSON array on one line", shown)));
    }
    use(end + 1);
    States states;
    for (const nlohmann::json& state : list) {
      const std::string text = state.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      if (text.size() > kMaxStateBytes)
        return fail(error(fmt::format("answered a state of {} bytes", text.size())));
      states.emplace_back(text.begin(), text.end());
    }
    return states;
  }

  bool json_;
  std::unique_ptr<PipeProcess> process_;
  size_t used_ = 0;
};

std::string hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes.first(std::min<size_t>(bytes.size(), 64)))
    text += fmt::format("{:02x}", byte);
  return bytes.size() > 64 ? text + "..." : text;
}

class PipeExpander final : public Expander {
 public:
  explicit PipeExpander(std::unique_ptr<Talker> talker) : talker_(std::move(talker)) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    while (first + done < parents.size()) {
      const size_t begin = first + done;
      size_t end = begin, bytes = 0;
      while (end < parents.size() && end - begin < kBatchStates && bytes < kBatchBytes)
        bytes += parents[end++].bytes.size();
      talker_->ask(parents, begin, end);
      bool full = false;
      for (size_t i = begin; i < end; ++i) {
        const States states = TRY(talker_->answer());
        if (full) continue;  // the rest of the batch is read and asked again later
        for (const auto& state : states) {
          full = full || !out.push(std::span<const uint8_t>(state));
        }
        if (full) {
          out.drop_parent();
          continue;
        }
        out.end_parent();
        ++done;
        if (asked_++ % kAskTwice == 0) checks_.emplace_back(i, states);
      }
      for (const auto& [index, states] : std::exchange(checks_, {})) {
        talker_->ask(parents, index, index + 1);
        if (TRY(talker_->answer()) != states) {
          return fail(
              talker_->error("answered the same state differently: " + hex(parents[index].bytes)));
        }
      }
      if (talker_->has_surplus()) return fail(talker_->error("answered more than it was asked"));
      if (full) return done;
    }
    return done;
  }

 private:
  std::unique_ptr<Talker> talker_;
  uint64_t asked_ = 0;
  std::vector<std::pair<size_t, States>> checks_;  // of one batch: at most one in kAskTwice
};

class PipeProblem final : public Problem {
 public:
  explicit PipeProblem(PipeOptions options) : options_(std::move(options)) {}

  std::string name() const override { return "pipe"; }
  std::string arguments_json() const override {
    return nlohmann::ordered_json{{"command", options_.command},
                                  {"format", options_.json ? "json" : "frames"}}
        .dump();
  }
  ProblemTraits traits() const override {
    return {.form = StateForm::kBytes,
            .max_state_bytes = kMaxStateBytes,
            .keep_successors = true,
            .max_expanders = options_.copies};
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    auto talker = TRY(Talker::start(options_));
    talker->ask_for_initial();
    States states = TRY(talker->answer());
    if (states.empty()) return fail(talker->error("named no initial state"));
    return states;
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<PipeExpander>(TRY(Talker::start(options_)));
  }
  uint64_t id(const StateView& state) const override {
    return XXH3_128bits(state.bytes.data(), state.bytes.size()).low64;
  }
  std::vector<Column> columns() const override {
    return {{"state", options_.json ? ColumnType::kString : ColumnType::kBinary}};
  }
  void describe(const StateView& state, Row& row) const override {
    row.text({reinterpret_cast<const char*>(state.bytes.data()), state.bytes.size()});
  }

 private:
  PipeOptions options_;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_pipe(const ProblemArguments& arguments) {
  constexpr const char* kUsageText =
      "usage: pipe [--copies N] [--timeout SECONDS] [--format frames|json] -- CMD ARGS...";
  PipeOptions options;
  options.copies = default_threads();
  size_t i = 0;
  for (; i < arguments.size() && arguments[i] != "--"; i += 2) {
    const std::string& word = arguments[i];
    const std::string value = i + 1 < arguments.size() ? arguments[i + 1] : "";
    unsigned number = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
    const std::string_view unit(parsed.ptr,
                                static_cast<size_t>(value.data() + value.size() - parsed.ptr));
    const bool is_number = parsed.ec == std::errc() && number > 0;
    if (word == "--copies" && is_number && unit.empty() && number <= 64) {
      options.copies = number;
    } else if (word == "--timeout" && is_number && (unit.empty() || unit == "s") &&
               number <= 86400) {
      options.timeout = std::chrono::seconds(number);
    } else if (word == "--format" && (value == "frames" || value == "json")) {
      options.json = value == "json";
    } else {
      return fail(Code::kUsage,
                  fmt::format("pipe: '{} {}' is not understood; {}", word, value, kUsageText));
    }
  }
  if (i + 1 >= arguments.size())
    return fail(Code::kUsage, fmt::format("pipe: which program? {}", kUsageText));
  options.command.assign(arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
  return std::make_unique<PipeProblem>(std::move(options));
}

}  // namespace spillway::expand
