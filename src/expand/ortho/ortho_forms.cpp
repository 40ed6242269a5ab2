#include "expand/ortho/ortho_forms.hpp"

#include <algorithm>
#include <numeric>
#include <set>

namespace spillway::expand::ortho {

std::vector<uint8_t> Form::filled(uint32_t words) const {
  std::vector<uint8_t> cells = prefilled;
  uint32_t more = words - prefilled_count;
  for (uint32_t i = 0; more > 0; ++i) {
    if (cells[i]) continue;
    cells[i] = 1;
    --more;
  }
  return cells;
}

namespace {

uint32_t first_empty(const std::vector<uint8_t>& filled) {
  return static_cast<uint32_t>(std::find(filled.begin(), filled.end(), 0) - filled.begin());
}

uint64_t cell_count(const Dims& dims) {
  uint64_t cells = 1;
  for (const uint32_t length : dims) cells = std::min<uint64_t>(cells * length, UINT32_MAX);
  return cells;
}

uint64_t largest_shell(const Dims& dims) {
  std::vector<uint64_t> shells{1};  // by coordinate sum
  for (const uint32_t length : dims) {
    std::vector<uint64_t> more(shells.size() + length - 1, 0);
    for (size_t s = 0; s < shells.size(); ++s) {
      for (uint32_t x = 0; x < length; ++x) more[s + x] += shells[s];
    }
    shells = std::move(more);
  }
  return *std::max_element(shells.begin(), shells.end());
}

}  // namespace

FormTable::FormTable(OrthoRules rules, uint32_t longest_phrase, uint32_t word_count)
    : rules_(rules), longest_phrase_(longest_phrase), word_count_(word_count) {
  enumerate();
  skeletons_.resize(keys_.size());
  ready_ = std::vector<std::atomic<const Form*>>(keys_.size());
}

// The last cell of a box needs, along every axis, a phrase as long as the axis. In current rules
// the words of a shell all differ; in classic rules a prefilled word may repeat one.
bool FormTable::can_complete(const Dims& dims) const {
  if (*std::max_element(dims.begin(), dims.end()) > longest_phrase_) return false;
  return rules_ == OrthoRules::kClassic || largest_shell(dims) <= word_count_;
}

uint32_t FormTable::find_key(const Dims& dims, std::optional<uint32_t> up_axis,
                             const Dims& from) const {
  const auto same_dims = by_dims_.find(dims);
  if (same_dims == by_dims_.end()) return kNoForm;
  for (const uint32_t form : same_dims->second) {
    const FormKey& key = keys_[form];
    if (key.up_axis == up_axis && key.from != kNoForm && keys_[key.from].dims == from) return form;
  }
  return kNoForm;
}

uint32_t FormTable::add_key(FormKey key) {
  const auto form = static_cast<uint32_t>(keys_.size());
  largest_cells_ = std::max(largest_cells_, static_cast<uint32_t>(cell_count(key.dims)));
  by_dims_[key.dims].push_back(form);
  keys_.push_back(std::move(key));
  return form;
}

void FormTable::enumerate() {
  add_key({.dims = {2, 2}, .up_axis = std::nullopt, .from = kNoForm});
  std::set<Dims> grown;  // forms of one shape grow into the same forms
  for (uint32_t form = 0; form < keys_.size(); ++form) {
    const Dims dims = keys_[form].dims;
    if (!grown.insert(dims).second || !can_complete(dims)) continue;
    const auto add = [&](const Dims& to, std::optional<uint32_t> up_axis) {
      if (cell_count(to) > kMaxOrthoCells || keys_.size() == kMaxOrthoForms) return;
      add_key({.dims = to, .up_axis = up_axis, .from = form});
    };
    for (const Dims& to : over_shapes(dims, rules_)) add(to, std::nullopt);
    if (!is_all_twos(dims)) continue;
    for (uint32_t axis = 0; axis <= dims.size(); ++axis) add(up_shape(dims, axis), axis);
  }
}

void FormTable::fill_prefilled(const FormKey& key, Form& form) const {
  form.prefilled.assign(form.shape.size(), 0);
  if (key.from == kNoForm) return;
  const Shape& from = skeleton(key.from).shape;
  const std::vector<uint32_t> map =
      key.up_axis ? map_up(from, form.shape, *key.up_axis) : map_over(from, form.shape);
  for (const uint32_t cell : map) form.prefilled[cell] = 1;
  if (rules_ == OrthoRules::kClassic) {
    // The hole is always the last cell: no growth fills a box's last cell. Its word goes to the
    // first empty one.
    form.prefilled[map.back()] = 0;
    form.prefilled[first_empty(form.prefilled)] = 1;
  }
  form.prefilled_count =
      static_cast<uint32_t>(std::count(form.prefilled.begin(), form.prefilled.end(), 1));
}

const Form& FormTable::skeleton(uint32_t form) const {
  if (!skeletons_[form]) {
    const FormKey& key = keys_[form];
    auto made = std::make_unique<Form>(key.dims);
    if (rules_ == OrthoRules::kCurrent) made->up_axis = key.up_axis;
    made->id_prefix.add(key.dims.size());
    for (const uint32_t length : key.dims) {
      made->volume *= length - 1;
      made->id_prefix.add(length);
    }
    made->id_prefix.add(made->shape.size());
    fill_prefilled(key, *made);
    skeletons_[form] = std::move(made);
  }
  return *skeletons_[form];
}

// The first form whose states look the same with so many words: orthos do not remember how they
// grew (classic).
uint32_t FormTable::canonical(uint32_t form, uint32_t words) const {
  const Form& mine = skeleton(form);
  const std::vector<uint8_t> filled = mine.filled(words);
  for (const uint32_t other : by_dims_.at(keys_[form].dims)) {
    const Form& candidate = skeleton(other);
    if (candidate.up_axis == mine.up_axis && candidate.prefilled_count <= words &&
        candidate.filled(words) == filled) {
      return other;
    }
  }
  return form;
}

const Form& FormTable::make(uint32_t form) const {
  const MutexLock lock(mutex_);
  if (const Form* ready = ready_[form].load(std::memory_order_acquire)) return *ready;
  skeleton(form);
  Form& made = *skeletons_[form];
  for (uint32_t words = made.prefilled_count; words < made.shape.size(); ++words) {
    made.stages.push_back(make_stage(form, words));
  }
  ready_[form].store(&made, std::memory_order_release);
  return made;
}

Stage FormTable::make_stage(uint32_t form, uint32_t words) const {
  const Form& mine = skeleton(form);
  const std::vector<uint8_t> filled = mine.filled(words);
  std::vector<uint16_t> position(filled.size());  // cell -> place among the words
  std::exclusive_scan(filled.begin(), filled.end(), position.begin(), uint16_t{0},
                      [](auto a, auto b) { return static_cast<uint16_t>(a + b); });
  Stage stage;
  stage.cursor = first_empty(filled);
  stage.completes = words + 1 == mine.shape.size();
  CHECK(!stage.completes || stage.cursor == words);  // no growth fills a box's last cell
  stage.sorts_axes = stage.cursor == 2 && mine.shape.dims() == Dims{2, 2};
  for (const auto& line : mine.shape.required(stage.cursor)) {
    for (const uint32_t cell : line) stage.lines.push_back(position[cell]);
    stage.line_ends.push_back(static_cast<uint16_t>(stage.lines.size()));
  }
  for (const uint32_t cell : mine.shape.forbidden(stage.cursor, rules_, mine.up_axis)) {
    if (filled[cell]) stage.forbidden.push_back(position[cell]);
  }
  if (!stage.completes) {
    stage.next_form = canonical(form, words + 1);
    return stage;
  }
  const Dims& dims = mine.shape.dims();
  for (const Dims& to : over_shapes(dims, rules_)) {
    stage.overs.push_back(make_growth(form, to, std::nullopt));
  }
  if (is_all_twos(dims)) {
    for (uint32_t axis = 0; axis <= dims.size(); ++axis) {
      stage.ups.push_back(make_growth(form, up_shape(dims, axis), axis));
    }
  }
  return stage;
}

Growth FormTable::make_growth(uint32_t form, const Dims& dims,
                              std::optional<uint32_t> up_axis) const {
  const uint32_t raw = find_key(dims, up_axis, keys_[form].dims);
  if (raw == kNoForm) return {};
  const Shape& from = skeleton(form).shape;
  const Form& to = skeleton(raw);
  const std::vector<uint32_t> map =
      up_axis ? map_up(from, to.shape, *up_axis) : map_over(from, to.shape);
  const auto last = static_cast<uint16_t>(from.size() - 1);  // the hole, in both rule sets
  std::vector<uint16_t> source(to.shape.size(), last);
  for (size_t i = 0; i < map.size(); ++i) {
    if (rules_ == OrthoRules::kCurrent || i != last) source[map[i]] = static_cast<uint16_t>(i);
  }
  Growth growth{.form = canonical(raw, to.prefilled_count), .source = {}};
  for (uint32_t cell = 0; cell < to.shape.size(); ++cell) {
    if (to.prefilled[cell]) growth.source.push_back(source[cell]);
  }
  return growth;
}

}  // namespace spillway::expand::ortho
