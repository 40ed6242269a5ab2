#include "expand/plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "expand/plugin_abi.h"

namespace spillway::expand {
namespace {

constexpr uint32_t kMaxStateBytes = 65536;

std::string one_line(const char* text) {
  std::string line(text == nullptr ? "no reason given" : text);
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

// What the library is as long as it is loaded. The instance goes first, then the library.
struct Library {
  std::string path;
  void* handle = nullptr;
  const spillway_problem_v1* problem = nullptr;
  void* self = nullptr;

  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (self != nullptr) problem->destroy(self);
    if (handle != nullptr) ::dlclose(handle);
  }
};

class PluginExpander final : public Expander {
 public:
  explicit PluginExpander(std::shared_ptr<const Library> library) : library_(std::move(library)) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    Push push{&out, library_->problem->max_state_bytes, false};
    const spillway_sink sink{&push, &PluginExpander::push};
    for (size_t i = first; i < parents.size(); ++i, ++done) {
      const std::span<const uint8_t> state = parents[i].bytes;
      const int result = library_->problem->expand(library_->self, state.data(),
                                                   static_cast<uint32_t>(state.size()), &sink);
      if (push.oversized) {
        return fail(
            Code::kInvalid,
            fmt::format("{}: gave a successor of 0 bytes or of more than its own limit of {}",
                        library_->path, push.limit));
      }
      if (result == SPILLWAY_FULL) {
        out.drop_parent();
        return done;
      }
      if (result != SPILLWAY_OK) {
        return fail(Code::kInvalid,
                    fmt::format("{}: expand() failed with {}", library_->path, result));
      }
      out.end_parent();
    }
    return done;
  }

 private:
  struct Push {
    Successors* out;
    uint32_t limit;
    bool oversized;
  };
  static int push(void* context, const uint8_t* state, uint32_t size) {
    Push& push = *static_cast<Push*>(context);
    if (size == 0 || size > push.limit) {
      push.oversized = true;
      return SPILLWAY_ERROR;
    }
    return push.out->push(std::span(state, size)) ? SPILLWAY_OK : SPILLWAY_FULL;
  }
  std::shared_ptr<const Library> library_;
};

class PluginProblem final : public Problem {
 public:
  PluginProblem(std::shared_ptr<const Library> library, ProblemArguments arguments)
      : library_(std::move(library)), arguments_(std::move(arguments)) {}

  std::string name() const override { return library_->problem->name; }
  std::string arguments_json() const override {
    const std::string file = std::filesystem::path(library_->path).filename().string();
    return nlohmann::ordered_json{{"plugin", file}, {"arguments", arguments_}}.dump();
  }
  ProblemTraits traits() const override {
    return {.form = StateForm::kBytes, .max_state_bytes = library_->problem->max_state_bytes};
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    std::vector<std::vector<uint8_t>> states;
    const spillway_sink sink{
        &states, [](void* context, const uint8_t* state, uint32_t size) -> int {
          static_cast<std::vector<std::vector<uint8_t>>*>(context)->emplace_back(state,
                                                                                 state + size);
          return SPILLWAY_OK;
        }};
    const int result = library_->problem->initial(library_->self, &sink);
    if (result != SPILLWAY_OK) {
      return fail(Code::kInvalid,
                  fmt::format("{}: initial() failed with {}", library_->path, result));
    }
    for (const auto& state : states) {
      if (state.empty() || state.size() > library_->problem->max_state_bytes) {
        return fail(Code::kInvalid,
                    fmt::format("{}: an initial state has {} bytes; 1 to {} are allowed",
                                library_->path, state.size(), library_->problem->max_state_bytes));
      }
    }
    return states;
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<PluginExpander>(library_);
  }
  uint64_t id(const StateView& state) const override {
    return XXH3_128bits(state.bytes.data(), state.bytes.size()).low64;
  }
  std::vector<Column> columns() const override { return {{"state", ColumnType::kBinary}}; }
  void describe(const StateView& state, Row& row) const override {
    row.text({reinterpret_cast<const char*>(state.bytes.data()), state.bytes.size()});
  }

 private:
  std::shared_ptr<const Library> library_;
  ProblemArguments arguments_;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_plugin(const ProblemArguments& arguments) {
  if (arguments.empty())
    return fail(Code::kUsage, "plugin: which library? usage: plugin FILE.so [args]");
  auto library = std::make_shared<Library>();
  library->path = arguments[0];
  library->handle = ::dlopen(library->path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr)
    return fail(Code::kInvalid, fmt::format("plugin {}: {}", library->path, one_line(::dlerror())));
  using Describe = const spillway_problem_v1* (*)();
  const auto describe = reinterpret_cast<Describe>(::dlsym(library->handle, "spillway_problem"));
  if (describe == nullptr) {
    return fail(
        Code::kInvalid,
        fmt::format("plugin {}: is a library but no plugin: it has no symbol spillway_problem",
                    library->path));
  }
  library->problem = describe();
  const spillway_problem_v1* const problem = library->problem;
  if (problem == nullptr || problem->abi != SPILLWAY_PROBLEM_ABI) {
    return fail(
        Code::kInvalid,
        fmt::format("plugin {}: speaks version {} of the interface, this program speaks {}",
                    library->path, problem == nullptr ? 0 : problem->abi, SPILLWAY_PROBLEM_ABI));
  }
  const bool whole = problem->name != nullptr && problem->create != nullptr &&
                     problem->destroy != nullptr && problem->initial != nullptr &&
                     problem->expand != nullptr && problem->max_state_bytes > 0 &&
                     problem->max_state_bytes <= kMaxStateBytes;
  if (!whole) {
    return fail(
        Code::kInvalid,
        fmt::format("plugin {}: lacks a name or a function, or max_state_bytes is not 1 to {}",
                    library->path, kMaxStateBytes));
  }
  const ProblemArguments rest(arguments.begin() + 1, arguments.end());
  std::vector<const char*> words;
  for (const std::string& word : rest) words.push_back(word.c_str());
  std::array<char, 512> error{};
  library->self =
      problem->create(static_cast<int>(words.size()), words.data(), error.data(), error.size());
  error.back() = '\0';
  if (library->self == nullptr) {
    return fail(Code::kInvalid,
                fmt::format("plugin {}: {}", library->path, one_line(error.data())));
  }
  return std::make_unique<PluginProblem>(std::move(library), rest);
}

}  // namespace spillway::expand
