// Any text of a checkpoint is refused with kCorrupt, or restores a search.
#include <filesystem>

#include "core/test_folder.hpp"
#include "expand/engine/checkpoint.hpp"
#include "expand/engine/search.hpp"
#include "expand/problem/problem.hpp"
#include "fuzz.hpp"

using namespace spillway;
using namespace spillway::expand;

namespace {

std::unique_ptr<Search> search_in(const std::string& folder, const Problem& problem, Budget& budget,
                                  const std::shared_ptr<ScratchSpace>& space) {
  SearchOptions options;
  options.work_folder = folder;
  options.checkpoint = std::chrono::milliseconds(0);
  options.keep_layers = true;
  auto search = Search::create(problem, options, budget, space);
  MUST(search);
  return std::move(*search);
}

// The files and the text of a real checkpoint.
struct Real {
  TestFolder folder;
  std::unique_ptr<Problem> problem = std::move(*make_problem("pancake", {"5"}));
  std::string text;
  Real() {
    auto budget = Budget::create(24_MiB);
    auto space = *ScratchSpace::create({folder.path(), 1_GiB, true});
    auto search = search_in(folder.path(), *problem, *budget, space);
    int left = 3;
    const auto ran = search->run({}, [&](const std::string& saved) -> Result<void> {
      text = saved;
      return --left > 0 ? Result<void>() : fail(Code::kCancelled, "enough");
    });
    MUST(!ran);
  }
};

bool restores(const Real& real, const std::string& text) {
  const TestFolder folder;
  std::filesystem::copy(real.folder.path(), folder.path(),
                        std::filesystem::copy_options::recursive);
  auto budget = Budget::create(24_MiB);
  auto space = *ScratchSpace::create({folder.path(), 1_GiB, true});
  auto search = search_in(folder.path(), *real.problem, *budget, space);
  const auto restored = search->restore(text);
  if (!restored)
    MUST(restored.error().code() == Code::kCorrupt ||
         restored.error().code() == Code::kScratchFull);
  return restored.has_value();
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Real real;
  static const bool can_restore = restores(real, real.text);
  MUST(can_restore);
  if (size < 1) return 0;
  const std::string text(text_of({data + 1, size - 1}));
  if (const auto parsed = parse_checkpoint(text)) MUST(parse_checkpoint(checkpoint_text(*parsed)));
  if (data[0] % 2 == 0) {
    restores(real, text);
  } else {
    // The real one, with a piece of it replaced.
    std::string mixed = real.text;
    const size_t at = data[0] * real.text.size() / 256;
    mixed.replace(at, std::min(text.size(), mixed.size() - at), text);
    restores(real, mixed);
  }
  return 0;
}
