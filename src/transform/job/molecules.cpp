#include "transform/job/molecules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "core/printable.hpp"

namespace spillway::transform {

void MoleculeBatch::add(const Molecule& molecule) {
  const std::string_view text = molecule.text.value_or(std::string_view());
  entries_.push_back({bytes_.size(), text.size(), molecule.problem.size(), molecule.carried.size(),
                      molecule.route.size(), molecule.row, molecule.source_row, molecule.file,
                      molecule.kind, !molecule.text.has_value()});
  bytes_ += text;
  bytes_ += molecule.problem;
  bytes_ += molecule.carried;
  bytes_ += molecule.route;
}

Molecule MoleculeBatch::at(size_t index_in_batch) const {
  const Entry& entry = entries_[index_in_batch];
  std::string_view rest = std::string_view(bytes_).substr(entry.offset);
  Molecule molecule;
  if (!entry.is_null) molecule.text = rest.substr(0, entry.text);
  rest.remove_prefix(entry.text);
  molecule.problem = rest.substr(0, entry.problem);
  rest.remove_prefix(entry.problem);
  molecule.carried = rest.substr(0, entry.carried);
  rest.remove_prefix(entry.carried);
  molecule.route = rest.substr(0, entry.route);
  molecule.kind = entry.kind;
  molecule.file = entry.file;
  molecule.row = entry.row;
  molecule.source_row = entry.source_row;
  return molecule;
}

Result<std::optional<MoleculeBatch>> MoleculeSource::next() {
  MoleculeBatch batch;
  batch.index = batches_;
  Molecule molecule;
  while (!batch.is_full() && TRY(fetch(molecule))) batch.add(molecule);
  if (batch.size() == 0) return std::optional<MoleculeBatch>();
  ++batches_;
  return std::optional<MoleculeBatch>(std::move(batch));
}

namespace {

class FileRows final : public MoleculeSource {
 public:
  FileRows(InputFiles files, format::RowOptions options, RowRange range, Account account,
           std::stop_token stop)
      : files_(std::move(files)),
        options_(std::move(options)),
        range_(range),
        account_(std::move(account)),
        stop_(std::move(stop)) {}

  double fraction() const override { return fraction_.load(std::memory_order_relaxed); }

 protected:
  Result<bool> fetch(Molecule& molecule) override {
    while (file_ < files_.paths.size() && row_ < range_.end) {
      if (!reader_) reader_ = TRY(format::RowReader::open(files_.paths[file_], options_, account_));
      format::InputRow row;
      if (TRY(reader_->next(row))) {
        molecule = Molecule{.text = row.text,
                            .problem = row.problem,
                            .carried = row.carried,
                            .kind = reader_->kind(),
                            .file = static_cast<uint32_t>(file_),
                            .row = row_,
                            .source_row = row_};
        if (++row_ % 1024 == 0) {
          if (stop_.stop_requested()) return fail(Code::kCancelled, "stopped while reading");
          fraction_ = done();
        }
        if (molecule.row >= range_.first) return true;
        continue;
      }
      reader_.reset();
      ++file_;
    }
    reader_.reset();
    fraction_ = 1.0;
    return false;
  }

 private:
  double done() const {
    const double read = (static_cast<double>(file_) + reader_->fraction()) /
                        static_cast<double>(files_.paths.size());
    return std::max(read, static_cast<double>(row_) / static_cast<double>(range_.end));
  }

  InputFiles files_;
  format::RowOptions options_;
  RowRange range_;
  Account account_;
  std::stop_token stop_;
  std::unique_ptr<format::RowReader> reader_;
  size_t file_ = 0;
  uint64_t row_ = 0;
  std::atomic<double> fraction_{0};
};

class Parents final : public MoleculeSource {
 public:
  Parents(std::unique_ptr<ExternalSort> sort, ExternalSort::Stream stream, uint64_t count,
          RecordShape shape)
      : sort_(std::move(sort)), stream_(std::move(stream)), count_(count), shape_(shape) {}

  double fraction() const override {
    return count_ == 0 ? 1.0
                       : static_cast<double>(rank_.load(std::memory_order_relaxed)) /
                             static_cast<double>(count_);
  }

 protected:
  Result<bool> fetch(Molecule& molecule) override {
    const auto record = TRY(stream_.next());
    if (!record) return false;
    const MoleculeView view = TRY(read_molecule(TRY(molecule_of_ordinal(*record))));
    const ProductData data = TRY(read_product(view.data, shape_, atoms_));
    route_ = data.route;
    append_route(route_, view.ordinal);
    molecule = Molecule{.text = view.text,
                        .carried = data.carried,
                        .route = route_,
                        .file = data.file,
                        .row = rank_.load(),
                        .source_row = data.source_row};
    ++rank_;
    return true;
  }

 private:
  std::unique_ptr<ExternalSort> sort_;
  ExternalSort::Stream stream_;
  uint64_t count_;
  RecordShape shape_;
  std::vector<int32_t> atoms_;
  std::string route_;
  std::atomic<uint64_t> rank_{0};
};

Result<void> check_heading(const format::RowReader& reader, const std::string& path,
                           const std::function<bool(std::string_view)>& is_smiles) {
  for (const std::string& heading : reader.headings()) {
    if (heading.empty() || !is_smiles(heading)) continue;
    return fail(Code::kUsage,
                fmt::format("{}: the first line, which should name the columns, has the molecule "
                            "'{}': give --no-header if it is data",
                            path, heading));
  }
  return {};
}

// One line a column, however many files have it.
void note_column(const format::RowReader& reader, const std::string& path,
                 std::vector<std::string>& notes) {
  if (reader.guessed_column().empty()) return;
  const std::string column =
      fmt::format("the molecules are taken from column '{}' (--smiles-column names another): ",
                  printable(reader.guessed_column()));
  for (const std::string& note : notes) {
    if (note.starts_with(column)) return;
  }
  notes.push_back(column + path);
}

Result<void> check_carried(const std::vector<format::ColumnSpec>& first, const std::string& path_0,
                           const std::vector<format::ColumnSpec>& other, const std::string& path) {
  for (size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    const bool same = i < first.size() && i < other.size() && first[i].is_like(other[i]);
    if (same) continue;
    const std::string& name = i < first.size() ? first[i].name : other[i].name;
    return fail(Code::kInvalid,
                fmt::format("{} and {} differ in the carried column '{}'", path_0, path, name));
  }
  return {};
}

}  // namespace

Result<InputFiles> survey_inputs(std::vector<std::string> paths, const format::RowOptions& options,
                                 Account account,
                                 const std::function<bool(std::string_view)>& is_smiles,
                                 const std::stop_token& stop) {
  InputFiles files;
  files.paths = std::move(paths);
  for (size_t i = 0; i < files.paths.size(); ++i) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while looking at the inputs");
    const std::string& path = files.paths[i];
    files.identities.push_back(TRY(open_source(path))->identity());
    const auto reader = TRY(format::RowReader::open(path, options, account));
    TRY(check_heading(*reader, path, is_smiles));
    note_column(*reader, path, files.notes);
    if (i == 0)
      files.carried = reader->carried();
    else
      TRY(check_carried(files.carried, files.paths[0], reader->carried(), path));
    for (size_t c = 0; c < files.carried.size(); ++c)
      files.carried[c].nullable = files.carried[c].nullable || reader->carried()[c].nullable;
  }
  return files;
}

std::unique_ptr<MoleculeSource> rows_of(const InputFiles& files, format::RowOptions options,
                                        RowRange range, Account account, std::stop_token stop) {
  return std::make_unique<FileRows>(files, std::move(options), range, std::move(account),
                                    std::move(stop));
}

std::unique_ptr<MoleculeSource> parents_of(std::unique_ptr<ExternalSort> sort,
                                           ExternalSort::Stream stream, uint64_t count,
                                           RecordShape shape) {
  return std::make_unique<Parents>(std::move(sort), std::move(stream), count, shape);
}

}  // namespace spillway::transform
