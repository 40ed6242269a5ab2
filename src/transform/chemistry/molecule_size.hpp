// How many atoms a molecule may have. What RDKit does to one takes time with the square of them and
// stack with each: a chain of 4,000 takes 1.5 s a call, one of 12,000 more than the 8 MiB of a thread.
//
// Threads  Any. Cost: none but for long texts, which are read twice.
#pragma once

#include <cstddef>
#include <string>

namespace spillway::transform {

inline constexpr size_t kMostAtoms = 2048;

// To be called before RDKit reads the text whole, within what catches its exceptions: std::length_error
// says how many atoms there are when they are more.
void refuse_large_smiles(const std::string& smiles);
// Of a record also what it announces: counts, lists, and lines that are longer than any molecule needs.
void refuse_large_record(const std::string& sdf_record);

}  // namespace spillway::transform
