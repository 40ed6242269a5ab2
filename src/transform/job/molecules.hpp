// The molecules of one step, in batches: rows of the input files, or the survivors of the step
// before.
//
// A batch ends after kRows rows or kBytes of text, whatever the memory, so that batch n of a step
// holds the same rows in every run: the unit of work that resume counts in.
//
// Threads  One.
// Memory   A batch is within kPeak, which its reader leases first.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/records/external_sort.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/job/row_range.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

struct Molecule {
  std::optional<std::string_view> text;  // none: null
  std::string_view problem;              // not empty: why it cannot be read
  std::string_view carried;
  std::string_view route;  // to here, of a product (record.hpp)
  format::RowKind kind = format::RowKind::kLine;
  uint32_t file = 0;
  uint64_t row = 0;         // of the ordinal
  uint64_t source_row = 0;  // of the root
};

class MoleculeBatch {
 public:
  static constexpr size_t kRows = 256;
  static constexpr size_t kBytes = size_t{256} << 10;
  static constexpr Bytes kPeak{size_t{3} << 20};

  void add(const Molecule& molecule);
  bool is_full() const { return entries_.size() >= kRows || bytes_.size() >= kBytes; }
  size_t size() const { return entries_.size(); }
  Molecule at(size_t index) const;
  Bytes held() const { return Bytes(bytes_.capacity() + entries_.capacity() * sizeof(Entry)); }
  uint64_t index = 0;  // of the batch within the step

 private:
  struct Entry {
    size_t offset, text, problem, carried, route;  // lengths behind each other
    uint64_t row, source_row;
    uint32_t file;
    format::RowKind kind;
    bool is_null;
  };
  std::string bytes_;
  std::vector<Entry> entries_;
};

class MoleculeSource {
 public:
  virtual ~MoleculeSource() = default;
  // The next batch, not empty; none at the end.
  [[nodiscard]] Result<std::optional<MoleculeBatch>> next();
  virtual double fraction() const = 0;  // read so far; any thread

 protected:
  [[nodiscard]] virtual Result<bool> fetch(Molecule& molecule) = 0;  // views until the next call

 private:
  uint64_t batches_ = 0;
};

struct InputFiles {
  std::vector<std::string> paths;
  std::vector<std::string> identities;      // Source::identity()
  std::vector<format::ColumnSpec> carried;  // the same in all
  std::vector<std::string> notes;           // what was taken for the column of molecules, where
};
// Opens each once and checks that they can be read together. A CSV whose first line is a molecule
// where names should stand is refused: `is_smiles` tells.
[[nodiscard]] Result<InputFiles> survey_inputs(
    std::vector<std::string> paths, const format::RowOptions& options, Account account,
    const std::function<bool(std::string_view)>& is_smiles, const std::stop_token& stop = {});

// The rows of `range`; those before it are read and left out. next(): kCancelled.
std::unique_ptr<MoleculeSource> rows_of(const InputFiles& files, format::RowOptions options,
                                        RowRange range, Account account, std::stop_token stop);
// Of records made by RecordMaker::by_ordinal(), in order; `count` for the fraction.
std::unique_ptr<MoleculeSource> parents_of(std::unique_ptr<ExternalSort> sort,
                                           ExternalSort::Stream stream, uint64_t count,
                                           RecordShape shape);

}  // namespace spillway::transform
