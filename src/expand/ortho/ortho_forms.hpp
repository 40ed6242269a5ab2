// The forms of orthos: boxes with what fills them from the start, numbered, and what an expansion
// needs to know of each.
//
// A form is a shape, the axis of its last up (current rules), and which cells its growth had
// filled. How many words a state of the form has tells which cells are filled; each such stage has
// its tables: the cursor, the lines that end at it, the words forbidden there, and what the box
// becomes.
//
// Numbers  Depend only on the rules, the longest phrase and the number of words: they may be
//          stored.
// Memory   Tables are made when a form is first met and kept: a few KiB for small boxes, under
//          1 MiB for the largest.
// Threads  get() may be called by any; tables are made under a lock once and read without.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/mutex.hpp"
#include "expand/ortho/ortho_rules.hpp"
#include "expand/ortho/siphash13.hpp"

namespace spillway::expand::ortho {

inline constexpr uint32_t kMaxOrthoCells = 1024;  // of one box
inline constexpr uint32_t kMaxOrthoForms = 65536;

inline constexpr uint32_t kNoForm = UINT32_MAX;

// How a form comes to be: the box `from` completed and grew over, or up along `up_axis`.
struct FormKey {
  Dims dims;
  std::optional<uint32_t> up_axis;  // of this growth, also in classic rules
  uint32_t from = kNoForm;          // a form whose shape is the one that grew
};

// A completed box becomes this one: word j of the child is word source[j] of the full box, in cell
// order.
struct Growth {
  uint32_t form = kNoForm;  // kNoForm: beyond the limits
  std::vector<uint16_t> source;
};

// What to do with a state of a form with a given number of words. Positions are places in the
// encoding's words.
struct Stage {
  uint32_t cursor = 0;
  bool completes = false;   // the cursor is the only empty cell
  bool sorts_axes = false;  // the third cell of the first square
  uint32_t next_form = 0;   // after adding a word, unless it completes
  std::vector<uint16_t> line_ends;
  std::vector<uint16_t> lines;  // required positions, line after line
  std::vector<uint16_t> forbidden;
  std::vector<Growth> overs;
  std::vector<Growth> ups;  // one an axis to insert at; empty unless all dims are 2
};

struct Form {
  Shape shape;
  std::optional<uint32_t> up_axis;  // as in the state: none in classic rules
  uint64_t volume = 1;              // product of (dim - 1)
  SipHash13 id_prefix;              // after the words of the id that all states of the form share
  std::vector<uint8_t> prefilled;   // 1: by the growth
  uint32_t prefilled_count = 0;
  std::vector<Stage> stages;  // by the number of words above prefilled_count

  explicit Form(Dims dims) : shape(std::move(dims)) {}
  // Which cells are filled when `words` of them are: the prefilled ones and all before the cursor.
  std::vector<uint8_t> filled(uint32_t words) const;
};

// All forms a text can reach, numbered; their tables, made on first use.
class FormTable {
 public:
  FormTable(OrthoRules rules, uint32_t longest_phrase, uint32_t word_count);

  uint32_t count() const { return static_cast<uint32_t>(keys_.size()); }
  uint32_t largest_cells() const { return largest_cells_; }

  // The tables of a form; valid for the table's life.
  const Form& get(uint32_t form) const {
    const Form* ready = ready_[form].load(std::memory_order_acquire);
    return ready != nullptr ? *ready : make(form);
  }

 private:
  bool can_complete(const Dims& dims) const;
  void enumerate();
  uint32_t add_key(FormKey key);
  uint32_t find_key(const Dims& dims, std::optional<uint32_t> up_axis, const Dims& from) const;

  const Form& make(uint32_t form) const;
  const Form& skeleton(uint32_t form) const;  // shape and prefilled cells, without stages
  void fill_prefilled(const FormKey& key, Form& form) const;
  uint32_t canonical(uint32_t form, uint32_t words) const;
  Stage make_stage(uint32_t form, uint32_t words) const;
  Growth make_growth(uint32_t form, const Dims& dims, std::optional<uint32_t> up_axis) const;

  const OrthoRules rules_;
  const uint32_t longest_phrase_;
  const uint32_t word_count_;
  uint32_t largest_cells_ = 4;
  std::vector<FormKey> keys_;
  std::map<Dims, std::vector<uint32_t>> by_dims_;

  mutable Mutex mutex_;  // guards skeletons_ and the making of forms
  mutable std::vector<std::unique_ptr<Form>> skeletons_;
  mutable std::vector<std::atomic<const Form*>> ready_;
};

}  // namespace spillway::expand::ortho
