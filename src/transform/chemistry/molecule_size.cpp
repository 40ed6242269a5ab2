#include "transform/chemistry/molecule_size.hpp"

#include <GraphMol/FileParsers/FileParsers.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "core/bytes.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kLeastAtomLine = 12;     // of an SDF record
constexpr size_t kMostLine = 4096;        // atom lists that are longer overflow RDKit's stack
constexpr size_t kMostContinued = 16384;  // of a V3000 line that goes on
constexpr size_t kMostEntries = 4 * kMostAtoms;

// The first number in `text`; 0 for none.
uint64_t number_in(std::string_view text) {
  const size_t begin = text.find_first_of("0123456789");
  uint64_t number = 0;
  if (begin == std::string_view::npos) return 0;
  const auto read = std::from_chars(text.data() + begin, text.data() + text.size(), number);
  return read.ec == std::errc() ? number : UINT64_MAX;
}

// What RDKit makes room for before it has read as much.
void refuse_announced(std::string_view line) {
  constexpr std::string_view kCounts = "M  V30 COUNTS ";
  if (line.starts_with(kCounts)) {
    std::string_view rest = line.substr(kCounts.size());
    for (bool atoms = true; !rest.empty(); atoms = false) {
      const uint64_t count = number_in(rest.substr(0, rest.find(' ')));
      if (count > (atoms ? kMostAtoms : kMostEntries))
        throw std::length_error(fmt::format("COUNTS says {}; a molecule may have {} atoms",
                                            grouped(count), grouped(kMostAtoms)));
      rest.remove_prefix(std::min(rest.find(' '), rest.size()));
      rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    }
  }
  for (size_t at = line.find("=("); at != std::string_view::npos; at = line.find("=(", at + 2)) {
    const std::string_view list = line.substr(at + 2);
    const uint64_t count = number_in(list.substr(0, list.find_first_of(" )")));
    if (count > kMostEntries)
      throw std::length_error(fmt::format("a list of {} entries", grouped(count)));
  }
}

void look_at_lines(std::string_view record) {
  size_t continued = 0;
  while (!record.empty()) {
    std::string_view line = record.substr(0, record.find('\n'));
    record.remove_prefix(std::min(line.size() + 1, record.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("M  END")) return;
    if (line.size() > kMostLine)
      throw std::length_error(fmt::format("a line of {} bytes, more than the {} that one may have",
                                          grouped(line.size()), grouped(kMostLine)));
    continued = line.ends_with('-') ? continued + line.size() : 0;
    if (continued > kMostContinued)
      throw std::length_error(
          fmt::format("a line that goes on beyond {} bytes", grouped(kMostContinued)));
    refuse_announced(line);
  }
}

// Null: what is read whole says why.
void refuse_large(const std::unique_ptr<RDKit::RWMol>& mol) {
  if (mol && mol->getNumAtoms() > kMostAtoms)
    throw std::length_error(fmt::format("{} atoms, more than the {} that a molecule may have",
                                        grouped(mol->getNumAtoms()), grouped(kMostAtoms)));
}

}  // namespace

void refuse_large_smiles(const std::string& smiles) {
  if (smiles.size() <= kMostAtoms) return;
  RDKit::SmilesParserParams as_it_stands;
  as_it_stands.sanitize = false;
  as_it_stands.removeHs = false;
  as_it_stands.allowCXSMILES = false;
  as_it_stands.parseName = false;
  refuse_large(std::unique_ptr<RDKit::RWMol>(RDKit::SmilesToMol(smiles, as_it_stands)));
}

void refuse_large_record(const std::string& sdf_record) {
  look_at_lines(sdf_record);
  if (sdf_record.size() <= kMostAtoms * kLeastAtomLine) return;
  constexpr bool kSanitize = false, kRemoveHs = false;
  refuse_large(
      std::unique_ptr<RDKit::RWMol>(RDKit::MolBlockToMol(sdf_record, kSanitize, kRemoveHs)));
}

}  // namespace spillway::transform
