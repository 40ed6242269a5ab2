// Any text is sentences whose phrases are all found again, or an error.
#include <algorithm>

#include "expand/ortho/ortho_sentences.hpp"
#include "fuzz.hpp"

using namespace spillway::expand::ortho;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  for (const OrthoRules rules : {OrthoRules::kCurrent, OrthoRules::kClassic}) {
    const auto sentences = split_sentences(text_of({data, size}), rules, "text");
    if (!sentences) continue;
    for (const size_t room : {size_t{0}, size_t{1} << 20}) {
      const auto made = phrases_of(*sentences, room);
      if (!made) continue;
      const auto& words = made->words;
      for (const Sentence& sentence : *sentences) {
        MUST(!sentence.empty());
        for (size_t begin = 0; begin < sentence.size() && begin < 8; ++begin) {
          std::vector<uint32_t> ids;
          for (size_t i = begin; i < sentence.size() && ids.size() < 6; ++i) {
            const auto at = std::lower_bound(words.begin(), words.end(), sentence[i]);
            MUST(at != words.end() && *at == sentence[i]);
            ids.push_back(static_cast<uint32_t>(at - words.begin()));
            MUST(made->index.find(ids) != PhraseIndex::kNone);
          }
        }
      }
    }
  }
  return 0;
}
