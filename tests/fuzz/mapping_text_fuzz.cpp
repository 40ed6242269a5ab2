// Any bytes are a mapping, in text or in pairs of 64 or 32 bits, whose pairs have no id 0, or an error;
// text that a mapping was written as comes back as it was.
#include <string>
#include <vector>

#include "export/mapping/mapping.hpp"
#include "fuzz_source.hpp"

namespace {

using namespace spillway::exporter;

spillway::Result<void> read(std::string_view text, MappingFormat format, std::vector<Pair>& pairs) {
  auto source = ByteStream::of(std::make_unique<FuzzSource>(std::span(
                                   reinterpret_cast<const uint8_t*>(text.data()), text.size())),
                               ByteStream::Gzip::kByContent);
  return read_pairs(
      *source, format,
      [&](Pair pair) -> spillway::Result<void> {
        MUST(pair.id != 0);
        if (pairs.size() < 1000) pairs.push_back(pair);
        return {};
      },
      std::stop_token());
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = text_of({data, size});
  for (const auto format :
       {MappingFormat::kAuto, MappingFormat::kBinary, MappingFormat::kBinary32}) {
    std::vector<Pair> pairs, again;
    const auto done = read(text, format, pairs);
    MUST(done || !done.error().message().empty());
    std::string written = "supervoxel,body\r\n";
    for (const Pair pair : pairs)
      written += std::to_string(pair.id) + "," + std::to_string(pair.body) + "\r\n";
    MUST(read(written, MappingFormat::kAuto, again));
    MUST(again.size() == pairs.size());
    for (size_t i = 0; i < pairs.size(); ++i)
      MUST(again[i].id == pairs[i].id && again[i].body == pairs[i].body);
  }
  return 0;
}
