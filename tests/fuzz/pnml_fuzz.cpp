// Any document is a net whose arcs are in range, or an error.
#include "expand/petri/pnml.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto net =
      spillway::expand::parse_pnml(text_of({data, size}), "net", spillway::Bytes(16 << 20));
  if (!net) {
    MUST(!net.error().message().empty());
    return 0;
  }
  for (size_t transition = 0; transition < net->transitions(); ++transition) {
    for (const auto& touch : net->touches(transition)) {
      MUST(touch.place < net->places());
      MUST(touch.give <= spillway::expand::kMaxTokens);
      MUST(touch.take == spillway::expand::NetTouch::kAll || touch.take <= touch.least);
    }
  }
  return 0;
}
