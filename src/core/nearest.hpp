// "did you mean ...?": the candidate that a misspelt word is most likely meant to be.
//
// Distance Edit distance (Levenshtein): letters added, left out or replaced. Near is a distance of
//          at most a third of the word's letters, or 2 in a short word, and never all of them.
// Cost     The word is cut to its first 64 bytes: 64 times the candidate's length a candidate.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace spillway {

// The first of the nearest candidates, or "" when none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace spillway
