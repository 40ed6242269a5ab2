// Molecules' names in the order of their keys, to be walked beside another such sequence.
//
// A name is the front of a molecule record: class, key, text (record.hpp).
//
// Threads  One.
// Fails    kCorrupt: a file that says it is ordered by key and is not. As readers do. kCancelled.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/records/external_sort.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/records/record.hpp"
#include "transform/records/record_file.hpp"

namespace spillway::transform {

class NameStream {
 public:
  virtual ~NameStream() = default;
  [[nodiscard]] virtual Result<std::optional<Record>> next() = 0;
};

// Of a RecordFile of molecule records.
std::unique_ptr<NameStream> names_of(std::unique_ptr<RecordFile::Reader> reader);

struct KnownOptions {
  std::string path;  // any file of rows, read as inputs are
  format::RowOptions rows;
  // The form that names have, or none when the text is no molecule; not asked about files that
  // spillway wrote. Texts of lines are names as they stand, too: canonical forms are not always stable.
  std::function<std::optional<std::string>(std::string_view, format::RowKind)> canonical;
  std::shared_ptr<ScratchSpace> space;
  std::stop_token stop;
};
struct KnownNames {
  std::unique_ptr<NameStream> names;
  uint64_t unread = 0;    // rows that are null or no molecule
  uint64_t too_long = 0;  // rows whose text no product can have, for its length
  std::string guessed;    // RowReader::guessed_column()
};
// How a --known file is read: as the inputs, but the column is the usual one.
format::RowOptions known_rows(const format::RowOptions& inputs);
// Streams a file that is ordered by key; sorts any other on scratch first.
[[nodiscard]] Result<KnownNames> open_known(KnownOptions options, Account account);
Bytes known_cost(std::string_view path);
// Whether open_known() could read it; cheap. As a reader fails.
[[nodiscard]] Result<void> check_known(const std::string& path, const format::RowOptions& rows,
                                       Account account);

// Whether a file was written in key order by this program, by its footer.
[[nodiscard]] Result<bool> is_key_ordered(const std::string& path, Account account);

// Whether texts come in ascending order of their keys, each once.
class KeyOrder {
 public:
  bool ascends(std::string_view text);
  Record name() const { return {last_.data(), last_.size()}; }  // of the last text

 private:
  RecordMaker maker_{RecordShape{}};
  std::vector<uint8_t> last_;
};

// Answers whether names that come in order are in any of the streams.
class AntiJoin {
 public:
  explicit AntiJoin(std::stop_token stop = {}) : stop_(std::move(stop)) {}
  [[nodiscard]] Result<void> add(std::unique_ptr<NameStream> stream);
  [[nodiscard]] Result<bool> contains(Record name);

 private:
  struct Side {
    std::unique_ptr<NameStream> stream;
    std::optional<Record> name;
  };
  std::vector<Side> sides_;
  std::stop_token stop_;
  uint64_t walked_ = 0;
};

int compare(Record a, Record b);  // memcmp, then length

}  // namespace spillway::transform
