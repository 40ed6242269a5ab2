// A column of any Arrow type as the columns that Parquet has of it: one a leaf of its type, with the
// levels that tell where its lists begin and how far its values are there.
//
// Memory   A leaf's values of one chunk, from the pool; its levels, two bytes each. Threads: one.
// Source   Dremel's levels as Apache Parquet and Arrow's parquet/level_conversion.h have them.
#pragma once

#include <arrow/api.h>
#include <arrow/buffer_builder.h>

#include <memory>
#include <string_view>
#include <vector>

namespace spillway::format {

struct LeafChunk {
  std::vector<int16_t> defined, repeated;
  std::shared_ptr<arrow::Array> values;  // with a slot for each null of its innermost list
};

class ArrowLeaves {
 public:
  // `type` as written_type() gives it.
  ArrowLeaves(const std::shared_ptr<arrow::DataType>& type, bool nullable);
  ~ArrowLeaves();
  ArrowLeaves(ArrowLeaves&&) noexcept;

  size_t size() const { return leaves_.size(); }
  bool is_nullable(size_t leaf) const { return leaves_[leaf].nullable; }
  bool is_repeated(size_t leaf) const { return leaves_[leaf].repeated; }
  int most_defined(size_t leaf) const { return leaves_[leaf].most_defined; }

  // The leaf's part of values behind each other: a byte (0 null, 1 there) where the column is
  // nullable, length (4), bytes of append_value().
  arrow::Result<LeafChunk> chunk(size_t leaf, std::string_view values,
                                 arrow::MemoryPool* pool) const;

 private:
  struct Node;
  struct Leaf {
    std::shared_ptr<arrow::DataType> type;
    bool nullable = false, repeated = false;
    int16_t most_defined = 0;   // when it is there
    int16_t least_defined = 0;  // for it to have a slot: its innermost list has an item
  };
  struct At {
    int16_t repeated = 0, defined = 0;
  };
  class Builder;
  std::unique_ptr<Node> node_of(const std::shared_ptr<arrow::DataType>& type, bool nullable,
                                At levels, int16_t least_defined);
  static arrow::Status take(const Node& node, At at, std::string_view& bytes, Builder& to);
  static arrow::Status take_item(const Node& node, At at, std::string_view& bytes, Builder& to);

  std::vector<Leaf> leaves_;
  std::unique_ptr<Node> root_;
};

}  // namespace spillway::format
