#include "format/parquet/arrow_leaves.hpp"

#include <cstring>

#include "core/result.hpp"
#include "format/parquet/arrow_value.hpp"

namespace spillway::format {

struct ArrowLeaves::Node {
  ValueKind kind = ValueKind::kFixed;
  bool nullable = false;
  size_t width = 0;                             // of kFixed
  int16_t repeated = 0;                         // of a list's second item
  size_t first_leaf = 0, leaf_end = 0;          // below it
  std::vector<std::unique_ptr<Node>> children;  // a list's item, a struct's fields
};

namespace {

// What is sized by the reader that made it (append_value), never by a file.
std::string_view take_bytes(std::string_view& bytes, size_t count) {
  CHECK(count <= bytes.size());
  const std::string_view taken = bytes.substr(0, count);
  bytes.remove_prefix(count);
  return taken;
}
uint32_t take_count(std::string_view& bytes) {
  uint32_t count = 0;
  std::memcpy(&count, take_bytes(bytes, sizeof count).data(), sizeof count);
  return count;
}

}  // namespace

// One leaf's values and levels.
class ArrowLeaves::Builder {
 public:
  Builder(const Leaf& leaf, size_t index, arrow::MemoryPool* pool)
      : leaf_(leaf),
        index_(index),
        kind_(value_kind(*leaf.type)),
        large_(leaf.type->id() == arrow::Type::LARGE_STRING ||
               leaf.type->id() == arrow::Type::LARGE_BINARY),
        pool_(pool),
        valid_(pool),
        bits_(pool),
        bytes_(pool),
        ends_(pool) {}

  bool wants(const Node& node) const { return node.first_leaf <= index_ && index_ < node.leaf_end; }
  // A place without a value.
  arrow::Status none(At at) {
    level(at);
    if (at.defined < leaf_.least_defined) return arrow::Status::OK();
    // Of a leaf that is never null it is a parent that is; Arrow takes that from the levels.
    ARROW_RETURN_NOT_OK(valid_.Append(!leaf_.nullable));
    if (kind_ == ValueKind::kBool) return bits_.Append(false);
    if (kind_ == ValueKind::kText) return end_text();
    if (kind_ == ValueKind::kFixed) return bytes_.Append(fixed_width(*leaf_.type), '\0');
    return arrow::Status::OK();
  }
  arrow::Status value(At at, std::string_view bytes) {
    level(at);
    ARROW_RETURN_NOT_OK(valid_.Append(kind_ != ValueKind::kNull));
    if (kind_ == ValueKind::kNull) return arrow::Status::OK();
    if (kind_ == ValueKind::kBool) return bits_.Append(bytes[0] != '\0');
    ARROW_RETURN_NOT_OK(bytes_.Append(bytes.data(), static_cast<int64_t>(bytes.size())));
    return kind_ == ValueKind::kText ? end_text() : arrow::Status::OK();
  }
  arrow::Result<LeafChunk> finish() {
    const int64_t count = valid_.length(), nulls = valid_.false_count();
    if (kind_ == ValueKind::kNull) {
      chunk_.values = std::make_shared<arrow::NullArray>(count);
      return std::move(chunk_);
    }
    std::vector<std::shared_ptr<arrow::Buffer>> buffers(1);
    ARROW_ASSIGN_OR_RAISE(auto valid, valid_.Finish());
    if (nulls > 0) buffers[0] = std::move(valid);
    // Texts are 32-bit here whatever the column's own offsets: a chunk is small.
    std::shared_ptr<arrow::DataType> type = leaf_.type;
    if (large_) type = type->id() == arrow::Type::LARGE_STRING ? arrow::utf8() : arrow::binary();
    if (kind_ == ValueKind::kText) {
      arrow::TypedBufferBuilder<int32_t> offsets(pool_);
      ARROW_RETURN_NOT_OK(offsets.Append(0));
      ARROW_RETURN_NOT_OK(offsets.Append(ends_.data(), ends_.length()));
      ARROW_ASSIGN_OR_RAISE(buffers.emplace_back(), offsets.Finish());
    }
    if (kind_ == ValueKind::kBool) {
      ARROW_ASSIGN_OR_RAISE(buffers.emplace_back(), bits_.Finish());
    } else {
      ARROW_ASSIGN_OR_RAISE(buffers.emplace_back(), bytes_.Finish());
    }
    chunk_.values =
        arrow::MakeArray(arrow::ArrayData::Make(type, count, std::move(buffers), nulls));
    return std::move(chunk_);
  }

 private:
  void level(At at) {
    chunk_.defined.push_back(at.defined);
    chunk_.repeated.push_back(at.repeated);
  }
  arrow::Status end_text() { return ends_.Append(static_cast<int32_t>(bytes_.length())); }

  const Leaf& leaf_;
  const size_t index_;
  const ValueKind kind_;
  const bool large_;
  LeafChunk chunk_;
  arrow::MemoryPool* const pool_;
  arrow::TypedBufferBuilder<bool> valid_, bits_;
  arrow::BufferBuilder bytes_;
  arrow::TypedBufferBuilder<int32_t> ends_;
};

ArrowLeaves::ArrowLeaves(const std::shared_ptr<arrow::DataType>& type, bool nullable)
    : root_(node_of(type, nullable, {}, 0)) {}
ArrowLeaves::~ArrowLeaves() = default;
ArrowLeaves::ArrowLeaves(ArrowLeaves&&) noexcept = default;

// `levels` of its parent when that is there.
std::unique_ptr<ArrowLeaves::Node> ArrowLeaves::node_of(
    const std::shared_ptr<arrow::DataType>& type, bool nullable, At levels, int16_t least_defined) {
  auto node = std::make_unique<Node>();
  node->kind = value_kind(*type);
  node->nullable = nullable;
  node->first_leaf = leaves_.size();
  if (nullable) ++levels.defined;
  if (node->kind == ValueKind::kList) {
    ++levels.defined;
    node->repeated = ++levels.repeated;
    const auto& item = type->field(0);
    node->children.push_back(node_of(item->type(), item->nullable(), levels, levels.defined));
  } else if (node->kind == ValueKind::kStruct) {
    for (const auto& field : type->fields())
      node->children.push_back(node_of(field->type(), field->nullable(), levels, least_defined));
  } else {
    if (node->kind == ValueKind::kFixed) node->width = static_cast<size_t>(fixed_width(*type));
    leaves_.push_back({type, nullable, levels.repeated > 0, levels.defined, least_defined});
  }
  node->leaf_end = leaves_.size();
  return node;
}

// A byte that says whether the value is there, and the value; of a nullable one `at` grows by that.
arrow::Status ArrowLeaves::take_item(const Node& node, At at, std::string_view& bytes,
                                     Builder& to) {
  const bool there = take_bytes(bytes, 1)[0] != '\0';
  if (!there) return to.wants(node) ? to.none(at) : arrow::Status::OK();
  if (node.nullable) ++at.defined;
  return take(node, at, bytes, to);
}

// A value that is there, off the front of `bytes`; its levels and leaves to `to` where they are wanted.
arrow::Status ArrowLeaves::take(const Node& node, At at, std::string_view& bytes, Builder& to) {
  const bool wanted = to.wants(node);
  switch (node.kind) {
    case ValueKind::kStruct:
      for (const auto& field : node.children) ARROW_RETURN_NOT_OK(take_item(*field, at, bytes, to));
      return arrow::Status::OK();
    case ValueKind::kList: {
      const uint32_t count = take_count(bytes);
      if (count == 0) return wanted ? to.none(at) : arrow::Status::OK();
      ++at.defined;
      for (uint32_t i = 0; i < count; ++i) {
        ARROW_RETURN_NOT_OK(take_item(*node.children[0], at, bytes, to));
        at.repeated = node.repeated;
      }
      return arrow::Status::OK();
    }
    default: {
      const size_t size = node.kind == ValueKind::kText   ? take_count(bytes)
                          : node.kind == ValueKind::kBool ? 1
                                                          : node.width;
      const std::string_view value = take_bytes(bytes, size);
      return wanted ? to.value(at, value) : arrow::Status::OK();
    }
  }
}

arrow::Result<LeafChunk> ArrowLeaves::chunk(size_t leaf, std::string_view values,
                                            arrow::MemoryPool* pool) const {
  Builder to(leaves_[leaf], leaf, pool);
  while (!values.empty()) {
    At at;
    if (root_->nullable) {
      if (take_bytes(values, 1)[0] == '\0') {
        ARROW_RETURN_NOT_OK(to.none(at));
        continue;
      }
      ++at.defined;
    }
    std::string_view bytes = take_bytes(values, take_count(values));
    ARROW_RETURN_NOT_OK(take(*root_, at, bytes, to));
  }
  return to.finish();
}

}  // namespace spillway::format
