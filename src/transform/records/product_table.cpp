#include "transform/records/product_table.hpp"

#include <algorithm>

namespace spillway::transform {

using format::ColumnSpec;
using format::ColumnType;

bool may_be_absent(const std::string& column) {
  return column == "source_file" || column == "root_row" || column == "route";
}

std::vector<ColumnSpec> ProductTable::columns(const TableShape& shape) {
  std::vector<ColumnSpec> all{
      {"smiles", ColumnType::kString, false},         {"rule", ColumnType::kDictionary, false},
      {"site_index", ColumnType::kInt32, false},      {"site_atoms", ColumnType::kInt32List, false},
      {"source_smiles", ColumnType::kString, false},  {"source_row", ColumnType::kInt64, false},
      {"source_file", ColumnType::kDictionary, false}};
  if (shape.record.route) {
    all.push_back({"root_row", ColumnType::kInt64, false});
    all.push_back({"route", ColumnType::kString, false});
  }
  for (const char* name : {"k", "n_F", "n_Cl", "n_Br", "n_I"})
    all.push_back({name, ColumnType::kInt32, false});
  if (shape.record.descriptors != Descriptors::kNone) {
    all.push_back({"mw", ColumnType::kDouble, false});
    for (const char* name : {"hbd", "hba", "rotb"})
      all.push_back({name, ColumnType::kInt32, false});
  }
  if (shape.record.descriptors == Descriptors::kAll) {
    for (const char* name : {"tpsa", "clogp"}) all.push_back({name, ColumnType::kDouble, false});
  }
  if (shape.record.inchikey) all.push_back({"inchikey", ColumnType::kString, true});
  for (ColumnSpec column : shape.carried) {
    const auto taken = [&] {
      return std::any_of(all.begin(), all.end(),
                         [&](const ColumnSpec& other) { return other.name == column.name; }) ||
             may_be_absent(column.name);
    };
    while (taken()) column.name = "in_" + column.name;
    all.push_back(std::move(column));
  }
  return all;
}

Result<std::unique_ptr<ProductTable>> ProductTable::create(std::string path, std::string partial,
                                                           TableShape shape, Account account,
                                                           std::shared_ptr<ScratchSpace> space) {
  std::unique_ptr<ProductTable> table(new ProductTable);
  format::ParquetOptions options;
  options.columns = columns(shape);
  options.partial = std::move(partial);
  options.space = std::move(space);
  table->shape_ = std::move(shape);
  table->writer_ =
      TRY(format::ParquetWriter::create(std::move(path), std::move(options), std::move(account)));
  return table;
}

void put_values(format::ParquetWriter& writer, const std::vector<ColumnSpec>& columns,
                format::ValueReader& values, std::span<const uint8_t> absent) {
  for (size_t i = 0; i < columns.size(); ++i) {
    const ColumnSpec& column = columns[i];
    if ((i < absent.size() && absent[i] != 0) || values.null()) {
      writer.null();
    } else if (format::is_list(column.type)) {
      const std::string_view bytes = values.text();
      std::vector<uint32_t> items(bytes.size() / sizeof(uint32_t));
      if (!items.empty()) std::memcpy(items.data(), bytes.data(), bytes.size());
      writer.list(items);
    } else if (format::is_text(column.type)) {
      writer.text(values.text());
    } else if (format::is_real(column.type)) {
      writer.real(values.real());
    } else {
      writer.number(values.number());
    }
  }
}

Result<void> ProductTable::put(const MoleculeView& molecule, const ProductData& product) {
  format::ParquetWriter& row = *writer_;
  const auto number = [&](int32_t value) { row.number(static_cast<uint64_t>(int64_t{value})); };
  row.text(molecule.text);
  row.text(shape_.rule_names.at(molecule.ordinal.rule));
  row.number(molecule.ordinal.site);
  row.list(
      {reinterpret_cast<const uint32_t*>(product.site_atoms.data()), product.site_atoms.size()});
  row.text(product.source);
  row.number(product.source_row);
  row.text(shape_.files.at(product.file));
  if (shape_.record.route) {
    row.number(product.source_row);
    std::string route(product.route);
    append_route(route, molecule.ordinal);
    row.text(route_text(route, shape_.rule_names));
  }
  number(molecule.ordinal.step);
  for (const int32_t count : {product.n_f, product.n_cl, product.n_br, product.n_i}) number(count);
  if (shape_.record.descriptors != Descriptors::kNone) {
    row.real(product.mw);
    for (const int32_t count : {product.hbd, product.hba, product.rotb}) number(count);
  }
  if (shape_.record.descriptors == Descriptors::kAll) {
    row.real(product.tpsa);
    row.real(product.clogp);
  }
  if (shape_.record.inchikey) {
    if (product.inchikey)
      row.text(*product.inchikey);
    else
      row.null();
  }
  format::ValueReader carried(product.carried);
  put_values(row, shape_.carried, carried);
  return row.end_row();
}

}  // namespace spillway::transform
