// The output: products as rows of a Parquet file, in the order they are put.
//
// Columns  smiles, rule, site_index, site_atoms, source_smiles, source_row, source_file (with
//          several inputs), k, n_F, n_Cl, n_Br, n_I, the descriptors asked for, inchikey, then what
//          is carried; a carried name that is taken gets "in_" before it.
// Memory   ParquetWriter's, from `account`.
// Threads  One.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/disk/scratch.hpp"
#include "format/parquet/parquet_writer.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

struct TableShape {
  RecordShape record;
  std::vector<std::string> files;       // of the input; a column only when there are several
  std::vector<std::string> rule_names;  // by position in the rules' file
  std::vector<format::ColumnSpec> carried;
};

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

// Puts one row's encoded values (ValueWriter) of `columns` into `writer`.
void put_values(format::ParquetWriter& writer, const std::vector<format::ColumnSpec>& columns,
                format::ValueReader& values);

}  // namespace spillway::transform
