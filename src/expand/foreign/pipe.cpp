#include "expand/foreign/pipe.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>

#include "core/bytes.hpp"
#include "core/json.hpp"
#include "core/memory/procstat.hpp"
#include "core/nearest.hpp"
#include "expand/foreign/pipe_copies.hpp"
#include "expand/problem/argument.hpp"

namespace spillway::expand {
namespace {

using Clock = std::chrono::steady_clock;
using States = std::vector<std::vector<uint8_t>>;

constexpr uint64_t kAskTwice = 1000;                   // every so many states of a copy
constexpr size_t kMostBatch = 256;                     // states of a request
constexpr std::chrono::milliseconds kLongAnswer{200};  // a request asks for less after such a one
constexpr size_t kMostInitialBytes = size_t{4} << 20;
constexpr unsigned kMostCopies = 64;
constexpr uint64_t kCopyBytes = 256 << 10;  // what is kept for one: read, request, answer
constexpr uint64_t kLongestTimeout = uint64_t{24} * 3600 * 1000;  // ms
constexpr const char* kUsageText =
    "usage: pipe [--copies N] [--timeout 30s] [--format frames|json] -- CMD ARGS...";

// As people can read it: text as it is, other bytes in hexadecimal, and not all of a long one.
std::string shown(PipeFormat format, std::span<const uint8_t> state) {
  const auto begin = state.first(std::min<size_t>(state.size(), 64));
  std::string text;
  for (const uint8_t byte : begin) {
    text += format == PipeFormat::kJson ? std::string(1, static_cast<char>(byte))
                                        : fmt::format("{:02x}", byte);
  }
  return begin.size() < state.size() ? text + "..." : text;
}

class InitialSink final : public AnswerSink {
 public:
  Result<void> state(std::span<const uint8_t> bytes) override {
    hash_.add(bytes);
    used_ += bytes.size() + sizeof(States::value_type);
    if (used_ > kMostInitialBytes) {
      return fail(Code::kInvalid,
                  fmt::format("named initial states of more than {} in all; name one that leads to "
                              "them",
                              to_string(Bytes(kMostInitialBytes))));
    }
    states.emplace_back(bytes.begin(), bytes.end());
    return {};
  }
  void end_answer() override {}
  uint64_t hash() const { return hash_.value(); }
  States states;

 private:
  size_t used_ = 0;
  AnswerHash hash_;
};

// Puts answers into the room as long as there is some, and hashes the one that is to be checked.
class SuccessorSink final : public AnswerSink {
 public:
  SuccessorSink(Successors& out, size_t checked) : out_(out), checked_(checked) {}
  Result<void> state(std::span<const uint8_t> bytes) override {
    if (answer_ == checked_) hash_.add(bytes);
    full_ = full_ || !out_.push(bytes);
    return {};
  }
  void end_answer() override {
    ++answer_;
    if (!full_) out_.end_parent();
  }
  // The answers that did not fit are asked for again later.
  bool is_full() const { return full_; }
  uint64_t checked_hash() const { return hash_.value(); }

 private:
  Successors& out_;
  size_t checked_;
  size_t answer_ = 0;
  bool full_ = false;
  AnswerHash hash_;
};

class PipeExpander final : public Expander {
 public:
  PipeExpander(std::shared_ptr<PipeCopies> copies, unsigned index)
      : copies_(std::move(copies)), index_(index) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    for (size_t at = first; at < parents.size();) {
      const size_t end = batch_end(parents, at);
      const size_t until_check = (kAskTwice - asked_ % kAskTwice) % kAskTwice;
      SuccessorSink sink(out, until_check);
      TRY(ask(parents, at, end, sink));
      if (until_check < end - at) TRY(check(parents, at + until_check, sink.checked_hash()));
      asked_ += end - at;
      at = end;
      if (sink.is_full()) {
        out.drop_parent();
        break;
      }
    }
    return out.parent_count();
  }

  Result<void> settle() override { return TRY(copies_->borrow(index_))->settle(); }

 private:
  size_t batch_end(const StateBlock& parents, size_t first) const {
    size_t end = first, bytes = 0;
    while (end < parents.size() && end - first < batch_ && bytes < kRequestBytes)
      bytes += parents[end++].bytes.size() + sizeof(uint32_t);
    return end;
  }

  // How many states a request has decides how often the sides wait for each other, and nothing else.
  Result<void> ask(const StateBlock& parents, size_t first, size_t end, AnswerSink& sink) {
    const auto loan = TRY(copies_->borrow(index_));
    const auto begin = Clock::now();
    TRY(loan->ask(parents, first, end, sink));
    const auto took = Clock::now() - begin;
    if (took > kLongAnswer) {
      batch_ = std::max<size_t>(1, batch_ / 2);
    } else if (took < kLongAnswer / 4 && end - first == batch_) {
      batch_ = std::min(kMostBatch, batch_ * 2);
    }
    return {};
  }

  Result<void> check(const StateBlock& parents, size_t index, uint64_t expected) {
    const unsigned copies = copies_->options().copies;
    const unsigned other = (index_ + 1) % copies;
    AnswerHash sink;
    const auto loan = TRY(copies_->borrow(other));
    TRY(loan->ask(parents, index, index + 1, sink));
    if (sink.value() == expected) return {};
    const std::string state = shown(copies_->options().format, parents[index].bytes);
    const std::string& program = copies_->options().command[0];
    if (copies == 1) {
      return fail(Code::kInvalid,
                  fmt::format("pipe: {} answered differently when asked again about the state {}",
                              program, state));
    }
    return fail(Code::kInvalid,
                fmt::format("pipe: {}: copies {} and {} answered differently about the state {}",
                            program, index_ + 1, other + 1, state));
  }

  std::shared_ptr<PipeCopies> copies_;
  unsigned index_;
  size_t batch_ = 1;
  uint64_t asked_ = 0;
};

class PipeProblem final : public Problem {
 public:
  explicit PipeProblem(PipeOptions options)
      : copies_(std::make_shared<PipeCopies>(std::move(options))) {}

  std::string name() const override { return "pipe"; }
  std::string arguments_json() const override {
    const OrderedJson json{{"command", options().command},
                           {"format", is_json() ? "json" : "frames"}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  ProblemTraits traits() const override {
    return {.form = StateForm::kBytes,
            .max_state_bytes = kMaxPipeState,
            .keep_successors = true,
            .own_bytes = options().copies * kCopyBytes,
            .max_expanders = options().copies};
  }
  Result<States> initial() const override {
    InitialSink named;
    const auto loan = TRY(copies_->borrow(0));
    TRY(loan->ask_initial(named));
    if (named.states.empty()) {
      return fail(Code::kInvalid,
                  fmt::format("pipe: {} named no initial state", options().command[0]));
    }
    if (named.hash() != loan->initial_hash()) {
      return fail(Code::kInvalid, fmt::format("pipe: {} named other initial states the second time",
                                              options().command[0]));
    }
    return std::move(named.states);
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    const unsigned index = next_expander_++ % options().copies;
    TRY(copies_->borrow(index));  // what cannot be started is told now
    return std::make_unique<PipeExpander>(copies_, index);
  }
  uint64_t id(const StateView& state) const override {
    return XXH3_128bits(state.bytes.data(), state.bytes.size()).low64;
  }
  std::vector<Column> columns() const override {
    return {{"state", is_json() ? ColumnType::kString : ColumnType::kBinary}};
  }
  void describe(const StateView& state, Row& row) const override {
    row.text({reinterpret_cast<const char*>(state.bytes.data()), state.bytes.size()});
  }

 private:
  const PipeOptions& options() const { return copies_->options(); }
  bool is_json() const { return options().format == PipeFormat::kJson; }

  std::shared_ptr<PipeCopies> copies_;
  mutable std::atomic<unsigned> next_expander_{0};
};

// "30s", "500ms", "2m", "30" (seconds).
Result<std::chrono::milliseconds> parse_timeout(std::string_view word) {
  std::string_view digits = word;
  uint64_t unit = 1000;
  for (const auto& [suffix, milliseconds] :
       {std::pair<std::string_view, uint64_t>{"ms", 1}, {"s", 1000}, {"m", 60000}}) {
    if (!digits.ends_with(suffix)) continue;
    digits.remove_suffix(suffix.size());
    unit = milliseconds;
    break;
  }
  const auto count = parse_argument(digits, {"pipe --timeout", 1, kLongestTimeout});
  if (!count || *count * unit > kLongestTimeout) {
    return fail(Code::kUsage, fmt::format("pipe --timeout: '{}' is not a time like 500ms, 30s or "
                                          "2m, up to 24 hours",
                                          word));
  }
  return std::chrono::milliseconds(*count * unit);
}

Result<void> set_option(PipeOptions& options, std::string_view name, std::string_view value) {
  if (name == "--copies") {
    options.copies =
        static_cast<unsigned>(TRY(parse_argument(value, {"pipe --copies", 1, kMostCopies})));
  } else if (name == "--timeout") {
    options.timeout = TRY(parse_timeout(value));
  } else if (name == "--format" && (value == "frames" || value == "json")) {
    options.format = value == "json" ? PipeFormat::kJson : PipeFormat::kFrames;
  } else {
    const std::vector<std::string> known{"--copies", "--timeout", "--format"};
    const std::string near = nearest(name, known);
    if (!near.empty() && near != name) {
      return fail(Code::kUsage,
                  fmt::format("pipe: unknown option '{}'; did you mean '{}'?", name, near));
    }
    return fail(Code::kUsage, fmt::format("pipe: '{}{}{}' is not understood; {}", name,
                                          value.empty() ? "" : " ", value, kUsageText));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Problem>> make_pipe(const ProblemArguments& arguments,
                                           const ProblemContext& context) {
  PipeOptions options;
  options.stop = context.stop;
  options.copies = std::min(default_threads(), kMostCopies);
  size_t at = 0;
  for (; at < arguments.size() && arguments[at] != "--"; ++at) {
    const std::string_view word = arguments[at];
    const size_t equals = word.find('=');
    if (equals != std::string_view::npos) {
      TRY(set_option(options, word.substr(0, equals), word.substr(equals + 1)));
      continue;
    }
    const bool has_value = at + 1 < arguments.size() && arguments[at + 1] != "--";
    TRY(set_option(options, word, has_value ? arguments[at + 1] : ""));
    at += has_value;
  }
  if (at + 1 >= arguments.size() || arguments[at + 1].empty())
    return fail(Code::kUsage, fmt::format("pipe: which program? {}", kUsageText));
  options.command.assign(arguments.begin() + static_cast<ptrdiff_t>(at) + 1, arguments.end());
  return std::make_unique<PipeProblem>(std::move(options));
}

}  // namespace spillway::expand
