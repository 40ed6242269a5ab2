// The output: products as rows of a Parquet file, in the order they are put.
//
// Columns  smiles, rule, site_index, site_atoms, source_smiles, source_row, source_file, with several
//          steps root_row and route, k, n_F, n_Cl, n_Br, n_I, the descriptors asked for, inchikey,
//          then what is carried; a carried name that is taken gets "in_" before it.
// Memory   ParquetWriter's, from `account`.
// Threads  One.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/disk/scratch.hpp"
#include "format/parquet/parquet_writer.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

struct TableShape {
  RecordShape record;
  std::vector<std::string> files;       // of the input
  std::vector<std::string> rule_names;  // by position in the rules' file
  std::vector<format::ColumnSpec> carried;
};

// Whether files may differ in having this column: those of an earlier format, and of one step, lack
// some.
bool may_be_absent(const std::string& column);

class ProductTable {
 public:
  static std::vector<format::ColumnSpec> columns(const TableShape& shape);
  [[nodiscard]] static Result<std::unique_ptr<ProductTable>> create(
      std::string path, std::string partial, TableShape shape, Account account,
      std::shared_ptr<ScratchSpace> space);

  [[nodiscard]] Result<void> put(const MoleculeView& molecule, const ProductData& product);
  void metadata(const std::string& key, const std::string& value) { writer_->metadata(key, value); }
  [[nodiscard]] Result<void> close() && { return std::move(*writer_).close(); }
  uint64_t rows() const { return writer_->rows(); }

 private:
  ProductTable() = default;
  TableShape shape_;
  std::unique_ptr<format::ParquetWriter> writer_;
};

// Puts one row's encoded values (ValueWriter) of `columns` into `writer`. Those that are `absent` are
// not among the values, and null.
void put_values(format::ParquetWriter& writer, const std::vector<format::ColumnSpec>& columns,
                format::ValueReader& values, std::span<const uint8_t> absent = {});

}  // namespace spillway::transform
