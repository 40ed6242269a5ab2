// One search problem, as the engine sees it: where it starts, what follows a state, and how a state
// is told to people.
//
// A state has one of two forms. kPacked: an unsigned integer of `key_bits` <= 64 significant bits;
// equal states are equal integers, so identity is exact and costs 8 bytes. kBytes: an encoding
// of 1..max_state_bytes bytes; equal states have equal encodings; identity is a 128-bit fingerprint
// of them (or the bytes themselves, --identity exact).
//
// Order    The search is FIFO-exact: the order of initial() and of the successors of a state decide
//          the result.
// Threads  A Problem is immutable during a search and shared; an Expander belongs to one thread.
// Memory   Expanders write into the fixed room of a Successors; they keep no more than bounded working
//          space.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "expand/problem/input.hpp"

namespace spillway::expand {

enum class StateForm { kPacked, kBytes };

struct ProblemTraits {
  StateForm form = StateForm::kPacked;
  unsigned key_bits = 64;        // kPacked: every state is < 2^key_bits
  uint32_t max_state_bytes = 8;  // kBytes: the longest encoding
  bool keep_successors = false;  // expansion costs more than writing its bytes to disk (pipe,
                                 // ortho): never expand twice
  uint64_t own_bytes = 0;        // memory the problem itself holds during the search
  uint64_t expander_bytes = 0;   // memory that each expander holds
  unsigned max_expanders = 64;   // how many threads may expand at once
  bool own_identity = false;   // kBytes: Problem::fingerprint() tells states apart, not the bytes;
                               // not with --identity exact
  bool prove_repeats = false;  // kBytes: code that is not ours; what expanding a state again gives
                               // is compared with the first time
};

// 128 bits by which states are told apart.
struct Fingerprint {
  uint64_t hi = 0, lo = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

// One state. `packed` is meant for kPacked, `bytes` for kBytes. A view: valid until the next call
// on where it came from.
struct StateView {
  uint64_t packed = 0;
  std::span<const uint8_t> bytes;
};

// A block of states, in order. kPacked: `packed`. kBytes: state i is data[ends[i-1], ends[i]),
// ends[-1] = 0.
struct StateBlock {
  std::span<const uint64_t> packed;
  const uint8_t* data = nullptr;
  std::span<const uint32_t> ends;

  size_t size() const { return packed.empty() ? ends.size() : packed.size(); }
  StateView operator[](size_t i) const {
    if (!packed.empty()) return {packed[i], {}};
    const uint32_t begin = i == 0 ? 0 : ends[i - 1];
    return {0, {data + begin, ends[i] - begin}};
  }
};

// Room for the successors of a block of states, filled parent by parent. The memory is the
// engine's; it never grows.
//
// Use      for each parent: push() its successors in order, then end_parent(). When a push returns
// false the room is full:
//          drop_parent() and stop; the engine takes what is complete and comes back with the rest. When
//          no parent is complete it takes what there is of the first, and asks for that one again:
//          the pushes that it has had are then skipped.
class Successors {
 public:
  // `packed_room`, `byte_room`, `end_room`: which are used depends on the form; `parent_ends` needs
  // one entry a parent.
  Successors(StateForm form, std::span<uint64_t> packed_room, std::span<uint8_t> byte_room,
             std::span<uint32_t> end_room, std::span<uint32_t> parent_ends)
      : form_(form),
        packed_(packed_room),
        bytes_(byte_room),
        ends_(end_room),
        parent_ends_(parent_ends) {}

  // `skip`: how many successors of the first parent are known already.
  void clear(uint64_t skip = 0) {
    count_ = byte_count_ = 0;
    parent_count_ = 0;
    skip_ = skip;
    resumed_ = skip > 0;
  }
  // The first parent's successors here are not all of them.
  bool is_resumed() const { return resumed_; }

  [[nodiscard]] bool push(uint64_t state) {
    if (is_skipped()) return true;
    if (count_ == packed_.size()) [[unlikely]]
      return false;
    packed_[count_++] = state;
    return true;
  }
  // For problems that know their largest number of successors: check room(n) once, then emit
  // without checks.
  bool has_room(uint32_t successors) const {
    return packed_.size() - count_ >= successors && skip_ == 0;
  }
  void emit(uint64_t state) { packed_[count_++] = state; }

  [[nodiscard]] bool push(std::span<const uint8_t> state) {
    if (is_skipped()) return true;
    if (count_ == ends_.size() || bytes_.size() - byte_count_ < state.size()) [[unlikely]]
      return false;
    std::memcpy(bytes_.data() + byte_count_, state.data(), state.size());
    byte_count_ += static_cast<uint32_t>(state.size());
    ends_[count_++] = byte_count_;
    return true;
  }
  void end_parent() { parent_ends_[parent_count_++] = count_; }
  void drop_parent() {
    if (parent_count_ == 0) return;  // a part of the first one is better than nothing
    count_ = parent_ends_[parent_count_ - 1];
    if (form_ == StateForm::kBytes) byte_count_ = count_ == 0 ? 0 : ends_[count_ - 1];
  }

  StateForm form() const { return form_; }
  uint32_t count() const { return count_; }
  uint32_t parent_count() const { return parent_count_; }
  uint32_t parent_end(size_t parent) const { return parent_ends_[parent]; }
  std::span<const uint64_t> packed() const {
    return packed_.first(form_ == StateForm::kPacked ? count_ : 0);
  }
  std::span<const uint32_t> ends() const {
    return ends_.first(form_ == StateForm::kBytes ? count_ : 0);
  }
  const uint8_t* data() const { return bytes_.data(); }
  uint32_t byte_count() const { return byte_count_; }
  StateView operator[](size_t i) const {
    if (form_ == StateForm::kPacked) return {packed_[i], {}};
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return {0, {bytes_.data() + begin, ends_[i] - begin}};
  }

 private:
  bool is_skipped() {
    if (skip_ == 0) [[likely]]
      return false;
    --skip_;
    return true;
  }

  StateForm form_;
  uint64_t skip_ = 0;
  bool resumed_ = false;
  std::span<uint64_t> packed_;
  std::span<uint8_t> bytes_;
  std::span<uint32_t> ends_;
  std::span<uint32_t> parent_ends_;
  uint32_t count_ = 0;
  uint32_t byte_count_ = 0;
  uint32_t parent_count_ = 0;
};

class Expander {
 public:
  virtual ~Expander() = default;
  // Expands parents[first..], in order, into `out` (cleared by the caller) until the block or the
  // room ends. Returns how many parents are complete; 0 means that one state's successors do not
  // fit the room; `out` then has those that do. Fails with kOverflow when a packed field is too narrow (see Problem::widen), with
  // others for a problem's own errors.
  [[nodiscard]] virtual Result<uint32_t> expand(const StateBlock& parents, size_t first,
                                                Successors& out) = 0;
  // What was expanded so far is about to be relied on (a checkpoint, the end): fails when it may be
  // wrong after all. Called between expansions by the thread that owns the search.
  [[nodiscard]] virtual Result<void> settle() { return {}; }
};

// A column of the states table (--states all).
enum class ColumnType { kUint8, kUint16, kUint32, kUint64, kString, kUint32List, kBinary };
struct Column {
  std::string name;
  ColumnType type;
  bool nullable = false;
};
// One row's values, in the order of the columns. Reused from row to row.
class Row {
 public:
  virtual ~Row() = default;
  virtual void number(uint64_t value) = 0;                  // the kUint types
  virtual void text(std::string_view value) = 0;            // kString, kBinary
  virtual void list(std::span<const uint32_t> values) = 0;  // kUint32List
  virtual void null() = 0;
};

using Score = std::array<uint64_t, 2>;  // compared as a tuple; greater is better

class Problem {
 public:
  virtual ~Problem() = default;

  virtual std::string name() const = 0;  // "pancake": names the output folder and the result
  virtual std::string arguments_json()
      const = 0;  // a JSON object of what defines the search; part of the result and of resume
  virtual ProblemTraits traits() const = 0;
  // What else must be the same for a checkpoint or a finished run to be taken up; not part of the
  // result. "" for nothing.
  virtual std::string build() const { return ""; }
  // With traits().own_identity: equal for states that are the same, whatever their bytes. The one
  // found first stands for all. By several threads at once.
  virtual Fingerprint fingerprint(const StateView&) const { return {}; }
  // The states of layer 0, in order; the engine drops repeats. Encodings as 8 little-endian bytes
  // for kPacked.
  [[nodiscard]] virtual Result<std::vector<std::vector<uint8_t>>> initial() const = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Expander>> expander() const = 0;

  // The public id of a state (ids_xor, ids_sum, --states ids). Default: low 64 bits of XXH3-128 of
  // canonical().
  virtual uint64_t id(const StateView& state) const;
  // The bytes the id is taken of. Default: kBytes: the encoding; kPacked: 8 little-endian bytes.
  // Written to `out`, which has room for max(8, max canonical size) bytes as given by
  // canonical_size(). Returns the size.
  virtual size_t canonical(const StateView& state, std::span<uint8_t> out) const;
  virtual size_t canonical_size() const { return traits().max_state_bytes; }

  // The optimum: the first state, in discovery order, with the greatest score.
  virtual bool has_score() const { return false; }
  virtual Score score(const StateView&) const { return {}; }
  // The JSON object under "best" in result.json, and the drawing printed on stdout ("" for none).
  virtual std::string best_json(const StateView&, const Score&) const { return "null"; }
  virtual std::string draw(const StateView&) const { return ""; }

  // The columns of a state for --states all, after depth and id.
  virtual std::vector<Column> columns() const = 0;
  virtual void describe(const StateView& state, Row& row) const = 0;

  // After kOverflow: widens the packing; the engine starts over with the new traits(). Fails when
  // it cannot.
  [[nodiscard]] virtual Result<void> widen();
};

// `arguments`: the words after the problem's name on the command line. Each built-in problem has
// one such function.
using ProblemArguments = std::vector<std::string>;
struct ProblemKind {
  std::string_view name;      // "pancake"
  std::string_view synopsis;  // "pancake N"
  std::string_view summary;   // one line for --help
  std::string_view help;      // a paragraph: sizes, options, what the states are
  Result<std::unique_ptr<Problem>> (*make)(const ProblemArguments&, const ProblemContext&);
};
std::span<const ProblemKind> problem_kinds();  // in help order
// Unknown name: kUsage, suggests the nearest.
[[nodiscard]] Result<std::unique_ptr<Problem>> make_problem(std::string_view name,
                                                            const ProblemArguments& arguments,
                                                            const ProblemContext& context = {});

}  // namespace spillway::expand
