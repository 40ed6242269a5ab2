#include "expand/foreign/plugin_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <utf8proc.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"

namespace spillway::expand {
namespace {

constexpr size_t kLongestName = 40;
constexpr size_t kTextRoom = 4096;

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return text;
}

// What is not UTF-8 becomes U+FFFD.
std::string well_formed(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    utf8proc_int32_t point = 0;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()),
                                       static_cast<utf8proc_ssize_t>(bytes.size()), &point);
    text += size > 0 ? bytes.substr(0, static_cast<size_t>(size)) : "\xEF\xBF\xBD";
    bytes.remove_prefix(size > 0 ? static_cast<size_t>(size) : 1);
  }
  return text;
}

std::string hex(std::span<const uint8_t> state) {
  constexpr size_t kShown = 64;
  std::string text;
  for (const uint8_t byte : state.first(std::min(state.size(), kShown)))
    text += fmt::format("{:02x}", byte);
  return state.size() > kShown ? text + "..." : text;
}

}  // namespace

int StateSink::push(void* context, const uint8_t* state, uint32_t size) noexcept {
  StateSink& sink = *static_cast<StateSink*>(context);
  if (sink.full_) return SPILLWAY_FULL;
  if (!sink.fault_.empty()) return SPILLWAY_ERROR;
  if (state == nullptr || size == 0 || size > sink.max_state_bytes_) {
    sink.fault_ = fmt::format("gave a state of {} bytes; its states have 1 to {}",
                              state == nullptr ? 0 : size, sink.max_state_bytes_);
    return SPILLWAY_ERROR;
  }
  sink.full_ = !sink.take({state, size});
  return sink.full_ ? SPILLWAY_FULL : SPILLWAY_OK;
}

Result<std::shared_ptr<const PluginLibrary>> PluginLibrary::open(const std::string& file,
                                                                 std::vector<std::string> words,
                                                                 std::stop_token stop) {
  std::shared_ptr<PluginLibrary> library(new PluginLibrary);
  library->file_ = file;
  library->words_ = std::move(words);
  library->watch_ = std::make_unique<PluginWatch>(file, std::move(stop));
  TRY(library->load());
  TRY(library->check());
  TRY(library->hash_file());
  TRY(library->create());
  return library;
}

PluginLibrary::~PluginLibrary() {
  if (self_ != nullptr) {
    (void)guarded("destroy", [&] {
      problem_.destroy(self_);
      return SPILLWAY_OK;
    });
  }
  const PluginWatch::Call call(*watch_, "unloading it");
  if (handle_ != nullptr) ::dlclose(handle_);
}

tl::unexpected<Error> PluginLibrary::failed(const std::string& what) const {
  return fail(Code::kInvalid, fmt::format("plugin {}: {}", file_, one_line(what)));
}

template <class Call>
Result<int> PluginLibrary::guarded(const char* function, Call&& call) const {
  std::string thrown;
  try {
    const PluginWatch::Call marked(*watch_, function);
    return call();
  } catch (const std::exception& exception) {
    thrown = exception.what();
  } catch (...) {
    thrown = "of a type of its own";
  }
  return failed(fmt::format("an exception left {}(): {}", function, thrown));
}

Result<void> PluginLibrary::load() {
  // A bare name is a file here, as for every other argument, and else one of the system's.
  const bool bare = file_.find('/') == std::string::npos;
  const std::string path = bare && TRY(exists(file_)) ? "./" + file_ : file_;
  {
    const PluginWatch::Call call(*watch_, "loading it");
    handle_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (handle_ == nullptr) {
    const char* const said = ::dlerror();
    std::string reason = said == nullptr ? "no reason given" : said;
    if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
    return failed("cannot be loaded: " + reason);
  }
  void* const entry = ::dlsym(handle_, "spillway_problem");
  if (entry == nullptr) return failed("is a library but no plugin: it has no spillway_problem()");
  const spillway_problem_v1* problem = nullptr;
  const int called = TRY(guarded("spillway_problem", [&] {
    problem = reinterpret_cast<decltype(&spillway_problem)>(entry)();
    return SPILLWAY_OK;
  }));
  if (called != SPILLWAY_OK || problem == nullptr) return failed("describes no problem");
  if (problem->abi != SPILLWAY_PROBLEM_ABI) {
    return failed(fmt::format(
        "speaks version {} of the interface, this program version {}; build it with this program's "
        "plugin_abi.h",
        problem->abi, SPILLWAY_PROBLEM_ABI));
  }
  constexpr size_t kLeast = offsetof(spillway_problem_v1, key);
  if (problem->bytes < kLeast) {
    return failed(
        fmt::format("its description has {} bytes, which is fewer than {}; `bytes` is "
                    "sizeof(spillway_problem_v1)",
                    problem->bytes, kLeast));
  }
  std::memcpy(&problem_, problem, std::min<size_t>(problem->bytes, sizeof problem_));
  return {};
}

Result<void> PluginLibrary::check() {
  const bool whole = problem_.create != nullptr && problem_.destroy != nullptr &&
                     problem_.initial != nullptr && problem_.expand != nullptr;
  if (!whole) return failed("lacks one of create, destroy, initial, expand");
  if (problem_.max_state_bytes == 0 || problem_.max_state_bytes > SPILLWAY_MAX_STATE_BYTES) {
    return failed(fmt::format("its max_state_bytes is {}; it must be 1 to {}",
                              problem_.max_state_bytes, SPILLWAY_MAX_STATE_BYTES));
  }
  if (problem_.name != nullptr) name_.assign(problem_.name, ::strnlen(problem_.name, 200));
  const bool plain = std::ranges::all_of(name_, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
  // It becomes the name of a folder.
  if (name_.empty() || name_.size() > kLongestName || !plain) {
    return failed(fmt::format("its name '{}' must be 1 to {} letters, digits, - and _",
                              well_formed(name_), kLongestName));
  }
  return {};
}

Result<void> PluginLibrary::hash_file() {
  link_map* map = nullptr;
  if (::dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr)
    return failed("the loader does not know where it is");
  File file = TRY(File::open(map->l_name).map_error([&](Error error) {
    return std::move(error).with("plugin " + file_);
  }));
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> hash(XXH3_createState(),
                                                                             XXH3_freeState);
  XXH3_64bits_reset(hash.get());
  std::array<uint8_t, 65536> piece;
  while (const size_t got = TRY(file.read(piece)))
    XXH3_64bits_update(hash.get(), piece.data(), got);
  file_hash_ = XXH3_64bits_digest(hash.get());
  return {};
}

Result<void> PluginLibrary::create() {
  for (const std::string& word : words_) argv_.push_back(word.c_str());
  argv_.push_back(nullptr);
  std::array<char, 512> error{};
  TRY(guarded("create", [&] {
    self_ =
        problem_.create(static_cast<int>(words_.size()), argv_.data(), error.data(), error.size());
    return SPILLWAY_OK;
  }));
  if (self_ != nullptr) return {};
  const std::string said(error.data(), ::strnlen(error.data(), error.size()));
  return failed(said.empty() ? "create() failed without saying why" : well_formed(said));
}

Result<void> PluginLibrary::outcome(const char* function, const Result<int>& result,
                                    const StateSink& sink) const {
  if (!result) return fail(result.error().clone());
  if (!sink.fault().empty()) return failed(fmt::format("{}() {}", function, sink.fault()));
  if (sink.is_full()) return {};
  if (*result == SPILLWAY_FULL)
    return failed(fmt::format("{}() returned SPILLWAY_FULL, which no push had said", function));
  if (*result != SPILLWAY_OK) return failed(fmt::format("{}() failed with {}", function, *result));
  return {};
}

Result<void> PluginLibrary::initial(StateSink& sink) const {
  const spillway_sink handed{&sink, &StateSink::push};
  return outcome("initial", guarded("initial", [&] { return problem_.initial(self_, &handed); }),
                 sink);
}

Result<void> PluginLibrary::expand(std::span<const uint8_t> state, StateSink& sink) const {
  const spillway_sink handed{&sink, &StateSink::push};
  auto done =
      outcome("expand",
              guarded("expand",
                      [&] {
                        return problem_.expand(self_, state.data(),
                                               static_cast<uint32_t>(state.size()), &handed);
                      }),
              sink);
  if (done) return {};
  return fail(Code::kInvalid,
              fmt::format("{} (of the state {})", done.error().message(), hex(state)));
}

Fingerprint PluginLibrary::fingerprint(std::span<const uint8_t> state) const {
  const auto of = [](std::span<const uint8_t> bytes) {
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    return Fingerprint{hash.high64, hash.low64};
  };
  if (problem_.key == nullptr) return of(state);
  std::array<uint8_t, 1024> small;
  std::vector<uint8_t> large;
  std::span<uint8_t> room = small;
  if (problem_.max_state_bytes > small.size()) {
    large.resize(problem_.max_state_bytes);
    room = large;
  }
  uint32_t size = 0;
  auto called = guarded("key", [&] {
    size = problem_.key(self_, state.data(), static_cast<uint32_t>(state.size()), room.data());
    return SPILLWAY_OK;
  });
  if (called && (size == 0 || size > problem_.max_state_bytes)) {
    called = failed(fmt::format("key() gave {} bytes; 1 to {} are allowed (of the state {})", size,
                                problem_.max_state_bytes, hex(state)));
  }
  if (called) return of(room.first(size));
  remember(std::move(called).error());
  return of(state);
}

Score PluginLibrary::score(std::span<const uint8_t> state) const {
  Score score{};
  auto called = guarded("score", [&] {
    problem_.score(self_, state.data(), static_cast<uint32_t>(state.size()), score.data());
    return SPILLWAY_OK;
  });
  if (called) return score;
  remember(std::move(called).error());
  return {};
}

std::string PluginLibrary::text(std::span<const uint8_t> state) const {
  std::array<char, kTextRoom> room;
  uint32_t size = 0;
  auto called = guarded("describe", [&] {
    size = problem_.describe(self_, state.data(), static_cast<uint32_t>(state.size()), room.data(),
                             static_cast<uint32_t>(room.size()));
    return SPILLWAY_OK;
  });
  if (called && size > room.size()) {
    called =
        failed(fmt::format("describe() wrote {} bytes, there was room for {} (of the state {})",
                           size, room.size(), hex(state)));
  }
  if (called) return well_formed({room.data(), size});
  std::string said = called.error().message();
  remember(std::move(called).error());
  return said;  // where the text would be; a search that is over has no better place
}

void PluginLibrary::remember(Error error) const {
  MutexLock lock(mutex_);
  if (!fault_) fault_.emplace(std::move(error));
}

Result<void> PluginLibrary::fault() const {
  MutexLock lock(mutex_);
  if (!fault_) return {};
  return fail(fault_->clone());
}

}  // namespace spillway::expand
