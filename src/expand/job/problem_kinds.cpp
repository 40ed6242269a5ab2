#include <fmt/format.h>

#include "core/nearest.hpp"
#include "expand/foreign/pipe.hpp"
#include "expand/foreign/plugin.hpp"
#include "expand/ortho/ortho.hpp"
#include "expand/petri/petri.hpp"
#include "expand/problem/problem.hpp"
#include "expand/problems/cube2.hpp"
#include "expand/problems/hanoi.hpp"
#include "expand/problems/pancake.hpp"
#include "expand/problems/puzzle.hpp"

namespace spillway::expand {
namespace {

// For problems that are made of their words alone.
template <Result<std::unique_ptr<Problem>> (*make)(const ProblemArguments&)>
Result<std::unique_ptr<Problem>> from_words(const ProblemArguments& arguments,
                                            const ProblemContext&) {
  return make(arguments);
}

constexpr ProblemKind kKinds[] = {
    {"puzzle", "puzzle RxC [--blank r,c]", "positions of the sliding-tile puzzle",
     "R rows and C columns, 2 to 25 cells. The search starts from the solved puzzle with the blank "
     "at row r, column c (counted from 0; default 0,0) and the tiles in order in the other cells. "
     "The blank moves up, down, left, right. Up to 16 cells a state is 8 bytes; above, one byte a "
     "cell.",
     from_words<make_puzzle>},
    {"pancake", "pancake N", "stacks of N pancakes under prefix reversal",
     "N is 2 to 16. The search starts from the sorted stack; a step flips the first 2, 3, ... N "
     "pancakes. There are N! stacks.",
     from_words<make_pancake>},
    {"cube2", "cube2 htm|qtm", "the 2x2x2 cube with one corner fixed",
     "The faces up, right and front turn; the corner they do not touch stays, so each position "
     "counts once: 3,674,160 of them. htm: a half turn is one step. qtm: only quarter turns are.",
     from_words<make_cube2>},
    {"hanoi", "hanoi --pegs P --discs N", "the towers of Hanoi",
     "P is 3 to 16. The search starts with all discs on peg 0 and meets all P^N positions. A "
     "position must fit 64 bits: at most 32 discs on 3 or 4 pegs, 21 on 5 to 8, 16 on more.",
     from_words<make_hanoi>},
    {"ortho", "ortho FILE... [--rules current|classic]",
     "boxes of words whose lines are phrases of the texts",
     "The files are UTF-8 texts; the phrases are those of all of them. The search starts from the "
     "empty 2x2 box and adds words; a box that is full grows. The optimum is the first box found "
     "of the largest volume, then of the most words, and is drawn at the end.",
     make_ortho},
    {"petri", "petri FILE.pnml", "markings of a P/T net in PNML (ISO 15909-2)",
     "All markings that can be reached from the initial one, transitions firing in the order of "
     "the document. Pages, reference nodes, inhibitor, test and reset arcs and capacities are "
     "understood; nets of other types, priorities and colours are refused. Markings are packed "
     "into as few bits as they need, and packed again when a count "
     "grows too large; a place holds at most 2147483647 tokens.",
     make_petri},
    {"plugin", "plugin FILE.so [--] [args]", "your own problem, from a shared library",
     "The library has the C interface of plugin_abi.h; the other words are handed to it (behind "
     "--, also those that look like options of expand). It may name keys by which states are told "
     "apart, scores for an optimum, and texts to show. A run is not continued with another build "
     "of the library.",
     make_plugin},
    {"pipe", "pipe [--copies N] [--timeout 30s] [--format frames|json] -- CMD ARGS...",
     "your own problem, from a program that answers on its output",
     "The program gets states on its standard input and answers with their successors, in frames "
     "of bytes or in lines of JSON. Up to N copies of it run at once (1 to 64; default: the "
     "processors). It may be silent for the time-out at most, like 500ms, 30s or 2m (default "
     "30s), and must answer the same for the same state, whichever copy is asked.",
     make_pipe},
};

}  // namespace

std::span<const ProblemKind> problem_kinds() { return kKinds; }

Result<std::unique_ptr<Problem>> make_problem(std::string_view name,
                                              const ProblemArguments& arguments,
                                              const ProblemContext& context) {
  for (const ProblemKind& kind : kKinds) {
    if (kind.name == name) return kind.make(arguments, context);
  }
  std::vector<std::string> names;
  for (const ProblemKind& kind : kKinds) names.emplace_back(kind.name);
  const std::string near = nearest(name, names);
  return fail(Code::kUsage,
              near.empty()
                  ? fmt::format("unknown problem \"{}\"; known: {}", name, fmt::join(names, ", "))
                  : fmt::format("unknown problem \"{}\"; did you mean \"{}\"?", name, near));
}

}  // namespace spillway::expand
