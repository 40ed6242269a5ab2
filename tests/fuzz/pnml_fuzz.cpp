// Any document is a net whose arcs are in range, or an error.
#include "expand/problems/pnml.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto net = spillway::expand::parse_pnml(std::string(text_of({data, size})), "net");
  if (!net) {
    MUST(!net.error().message().empty());
    return 0;
  }
  for (const auto& transition : net->transitions) {
    for (const auto* arcs : {&transition.inputs, &transition.outputs}) {
      for (const auto& arc : *arcs) {
        MUST(arc.place < net->places.size());
        MUST(arc.weight <= spillway::expand::kMaxTokens);
      }
    }
  }
  return 0;
}
