#include "expand/foreign/plugin.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/bytes.hpp"
#include "core/json.hpp"
#include "expand/foreign/plugin_library.hpp"

namespace spillway::expand {
namespace {

using Library = std::shared_ptr<const PluginLibrary>;
using States = std::vector<std::vector<uint8_t>>;

constexpr uint64_t kExpandTwice = 1000;  // every so many states of a thread
constexpr size_t kMostInitialBytes = size_t{4} << 20;

std::string hex(std::span<const uint8_t> state) {
  std::string text;
  for (const uint8_t byte : state) text += fmt::format("{:02x}", byte);
  return text;
}

class InitialSink final : public StateSink {
 public:
  using StateSink::StateSink;
  States states;

 private:
  bool take(std::span<const uint8_t> state) override {
    used_ += state.size() + sizeof(States::value_type);
    if (used_ > kMostInitialBytes) return false;
    states.emplace_back(state.begin(), state.end());
    return true;
  }
  size_t used_ = 0;
};

class SuccessorSink final : public StateSink {
 public:
  SuccessorSink(uint32_t max_state_bytes, Successors& out)
      : StateSink(max_state_bytes), out_(out) {}

 private:
  bool take(std::span<const uint8_t> state) override { return out_.push(state); }
  Successors& out_;
};

// Compares with the successors from `begin` on.
class CompareSink final : public StateSink {
 public:
  CompareSink(uint32_t max_state_bytes, const Successors& out, uint32_t begin)
      : StateSink(max_state_bytes), out_(out), next_(begin) {}
  bool is_equal() const { return equal_ && next_ == out_.count(); }

 private:
  bool take(std::span<const uint8_t> state) override {
    equal_ = equal_ && next_ < out_.count() && std::ranges::equal(out_[next_].bytes, state);
    ++next_;
    return true;
  }
  const Successors& out_;
  uint32_t next_;
  bool equal_ = true;
};

class PluginExpander final : public Expander {
 public:
  explicit PluginExpander(Library library) : library_(std::move(library)) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    for (size_t i = first; i < parents.size(); ++i) {
      const std::span<const uint8_t> state = parents[i].bytes;
      const uint32_t begin = out.count();
      SuccessorSink sink(library_->max_state_bytes(), out);
      TRY(library_->expand(state, sink));
      if (sink.is_full()) {
        out.drop_parent();
        break;
      }
      const bool is_whole = i > first || !out.is_resumed();
      if (expanded_++ % kExpandTwice == 0 && is_whole) TRY(expand_again(state, out, begin));
      out.end_parent();
    }
    return out.parent_count();
  }

  Result<void> settle() override { return library_->fault(); }

 private:
  Result<void> expand_again(std::span<const uint8_t> state, const Successors& out,
                            uint32_t begin) const {
    CompareSink sink(library_->max_state_bytes(), out, begin);
    TRY(library_->expand(state, sink));
    if (sink.is_equal()) return {};
    return library_->failed(
        fmt::format("expanding the state {} again gave other successors", hex(state)));
  }

  Library library_;
  uint64_t expanded_ = 0;
};

class PluginProblem final : public Problem {
 public:
  explicit PluginProblem(Library library) : library_(std::move(library)) {}

  std::string name() const override { return library_->name(); }
  std::string arguments_json() const override {
    const std::string file = std::filesystem::path(library_->file()).filename().string();
    return text_of({{"plugin", file}, {"arguments", library_->words()}});
  }
  std::string build() const override { return fmt::format("{:016x}", library_->file_hash()); }
  ProblemTraits traits() const override {
    return {.form = StateForm::kBytes,
            .max_state_bytes = library_->max_state_bytes(),
            .own_identity = library_->has_key(),
            .prove_repeats = true};
  }
  Result<States> initial() const override {
    InitialSink sink(library_->max_state_bytes());
    TRY(library_->initial(sink));
    if (sink.is_full()) {
      return library_->failed(
          fmt::format("names initial states of more than {} in all; name one that leads to them",
                      to_string(Bytes(kMostInitialBytes))));
    }
    return std::move(sink.states);
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<PluginExpander>(library_);
  }

  Fingerprint fingerprint(const StateView& state) const override {
    return library_->fingerprint(state.bytes);
  }
  uint64_t id(const StateView& state) const override { return fingerprint(state).lo; }

  bool has_score() const override { return library_->has_score(); }
  Score score(const StateView& state) const override { return library_->score(state.bytes); }
  std::string best_json(const StateView& state, const Score& score) const override {
    OrderedJson json{{"score", score}, {"state", hex(state.bytes)}};
    if (library_->has_describe()) json["text"] = library_->text(state.bytes);
    json["id"] = fmt::format("{}", id(state));
    return text_of(json);
  }
  std::string draw(const StateView& state) const override {
    return library_->has_describe() ? library_->text(state.bytes) : hex(state.bytes);
  }

  std::vector<Column> columns() const override {
    std::vector<Column> columns{{"state", ColumnType::kBinary}};
    if (library_->has_describe()) columns.push_back({"text", ColumnType::kString});
    return columns;
  }
  void describe(const StateView& state, Row& row) const override {
    row.text({reinterpret_cast<const char*>(state.bytes.data()), state.bytes.size()});
    if (library_->has_describe()) row.text(library_->text(state.bytes));
  }

 private:
  static std::string text_of(const OrderedJson& json) {
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  }
  Library library_;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_plugin(const ProblemArguments& arguments,
                                             const ProblemContext& context) {
  // Words behind a -- are never taken for options of expand; the -- itself is none of the words.
  ProblemArguments words = arguments;
  if (const auto dashes = std::ranges::find(words, "--"); dashes != words.end())
    words.erase(dashes);
  if (words.empty() || words[0].empty())
    return fail(Code::kUsage, "plugin: which library? usage: plugin FILE.so [--] [args]");
  return std::make_unique<PluginProblem>(
      TRY(PluginLibrary::open(words[0], {words.begin() + 1, words.end()}, context.stop)));
}

}  // namespace spillway::expand
