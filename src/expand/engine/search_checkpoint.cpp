// A search as a JSON text that names its files, and back.
#include <fmt/format.h>

#include <cmath>

#include "core/file/folders.hpp"
#include "core/json.hpp"
#include "expand/engine/search_of.hpp"

namespace spillway::expand {
namespace {

std::string file_of(const Blob& blob) { return name_of(blob.path()); }

// Whether new_blob() may have given the name: "layer-12".
bool is_ours(std::string_view file) {
  for (const std::string_view kind : {"layer-", "mask-", "run-", "rows-"}) {
    if (file.starts_with(kind)) {
      const std::string_view number = file.substr(kind.size());
      return !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
    }
  }
  return false;
}

// Puts the blob on disk for good; it stays there until a later checkpoint no longer names it.
// `fresh` gets those that no checkpoint had named.
Result<Json> describe(Blob& blob, std::set<std::string>& named, std::vector<Blob*>& fresh,
                      const std::stop_token& stop) {
  TRY(blob.persist(stop));
  if (!blob.is_kept()) fresh.push_back(&blob);
  blob.keep();
  named.insert(file_of(blob));
  return Json{{"file", file_of(blob)}, {"size", blob.size()}};
}

}  // namespace

// Removes what the checkpoint just saved (or restored) does not name. `counted`: this process wrote it.
template <class K>
Result<void> SearchOf<K>::sweep(bool counted) {
  return for_each_entry(options_.work_folder, [&](const std::string& file) -> Result<void> {
    if (!is_ours(file) || named_.contains(file)) return {};
    const std::string path = options_.work_folder + "/" + file;
    const auto info = TRY(look_at(path));
    if (TRY(remove_file(path)) && counted && info) space_->give_back(Bytes(info->size));
    return {};
  });
}

template <class K>
Result<std::string> SearchOf<K>::checkpoint(std::vector<Blob*>& described) {
  const std::stop_token stop = too_late_.token();
  TRY(on_seen([&](auto& set) { return set.flush_recent(stop); }));
  named_.clear();
  const auto layers = [&](const Layer& layer) -> Result<Json> {
    Json list = Json::array();
    for (const auto& segment : layer) {
      Json entry;  // filled line by line: gcc leaks a braced list that TRY returns from
      entry["states"] = TRY(describe(segment->states(), named_, described, stop));
      if (segment->mask() != nullptr)
        entry["mask"] = TRY(describe(*segment->mask(), named_, described, stop));
      list.push_back(std::move(entry));
    }
    return list;
  };
  Json json;
  json["current"] = TRY(layers(current_));
  json["next"] = TRY(layers(next_));
  if (keeping_) TRY(kept_.back()->finish());
  json["kept"] = TRY(layers(kept_));
  json["runs"] = Json::array();
  TRY(on_seen([&](auto& set) -> Result<void> {
    for (const auto& run : set.runs())
      json["runs"].push_back(TRY(describe(run->blob(), named_, described, stop)));
    return {};
  }));
  json["place"] = {place_.segment, place_.frame, place_.state, place_.visited};
  const LayerRow& row = state_.layers.back();
  json["row"] = {row.fresh, row.generated, row.duplicate};
  json["rows"] = TRY(describe(state_.layers.blob(), named_, described, stop));
  json["rows_checksum"] = state_.layers.checksum();
  json["frontier"] = state_.frontier;
  json["ids"] = {state_.ids_xor, state_.ids_sum};
  json["branching"] = branching_;
  json["next_file"] = next_file_;
  if (state_.has_best) json["best"] = {{"score", state_.best_score}, {"state", state_.best}};
  return json.dump();
}

template <class K>
Result<void> SearchOf<K>::restore(const std::string& text, const std::stop_token& stop) {
  follow(stop);
  const auto corrupt = [&](std::string_view what) {
    return fail(
        Code::kCorrupt,
        fmt::format("the checkpoint in {} cannot be read ({}); run again with --resume never",
                    options_.work_folder, what));
  };
  try {
    const Json json = Json::parse(text);
    const auto open_blob = [&](const Json& entry) -> Result<std::unique_ptr<Blob>> {
      const auto file = entry.at("file").get<std::string>();
      if (!is_ours(file) || !named_.insert(file).second) return corrupt("it names a strange file");
      auto blob = Blob::open(options_.work_folder + "/" + file, entry.at("size"), space_);
      if (!blob && blob.error().code() == Code::kNotFound)
        return corrupt("it names a missing file");
      return blob;
    };
    const auto open_layer = [&](const Json& list) -> Result<Layer> {
      Layer layer;
      for (const auto& entry : list) {
        auto states = TRY(open_blob(entry.at("states")));
        std::unique_ptr<Blob> mask;
        if (entry.contains("mask")) mask = TRY(open_blob(entry.at("mask")));
        layer.push_back(TRY(Segment::open(traits_.form, traits_.key_bits, std::move(states),
                                          std::move(mask), stop)));
      }
      return layer;
    };
    current_ = TRY(open_layer(json.at("current")));
    next_ = TRY(open_layer(json.at("next")));
    kept_ = TRY(open_layer(json.at("kept")));
    for (const auto& entry : json.at("runs")) {
      if (exact_) {
        TRY(exact_->add(
            TRY(ExactRun::open(TRY(open_blob(entry)), exact_->frame_bytes(), index_, stop)), stop));
      } else {
        TRY(seen_->add(TRY(SortedRun<K>::open(TRY(open_blob(entry)), align_, index_, stop)), stop));
      }
    }
    const auto& place = json.at("place");
    place_ = {place.at(0), place.at(1), place.at(2), place.at(3)};
    const auto& row = json.at("row");
    auto rows = TRY(open_blob(json.at("rows")));
    TRY(state_.layers.restore(std::move(rows), json.at("rows_checksum"),
                              LayerRow{row.at(0), row.at(1), row.at(2)}));
    total_states_ = state_.layers.total().fresh;
    generated_total_ = state_.layers.total().generated;
    state_.frontier = json.at("frontier");
    state_.ids_xor = json.at("ids").at(0);
    state_.ids_sum = json.at("ids").at(1);
    branching_ = json.at("branching");
    next_file_ = json.at("next_file");
    if (json.contains("best")) {
      state_.has_best = true;
      state_.best_score = json.at("best").at("score");
      state_.best = json.at("best").at("state").get<std::vector<uint8_t>>();
    }
  } catch (const nlohmann::json::exception& problem) {
    return corrupt(problem.what());
  }
  if (!is_consistent()) return corrupt("its figures do not fit its files");
  shown_generated_ = generated_total_;
  started_ = true;
  return sweep(false);
}

// What a restored search relies on when it goes on.
template <class K>
bool SearchOf<K>::is_consistent() const {
  if (state_.layers.back().fresh != layer_size(current_)) return false;
  if (state_.has_best && traits_.form == StateForm::kPacked && state_.best.size() != 8)
    return false;
  if (!std::isfinite(branching_) || branching_ <= 0) return false;
  // The place is where as many states lie before it as it says.
  uint64_t before = 0;
  if (place_.segment > current_.size()) return false;
  for (size_t i = 0; i < place_.segment; ++i) before += current_[i]->size();
  if (place_.segment == current_.size())
    return place_.frame == 0 && place_.state == 0 && place_.visited == before;
  const auto frames = current_[place_.segment]->frames();
  if (place_.frame > frames.size()) return false;
  for (size_t i = 0; i < place_.frame; ++i) before += frames[i].kept;
  const uint32_t here = place_.frame < frames.size() ? frames[place_.frame].kept : 0;
  return place_.state <= here && place_.visited == before + place_.state;
}

// For both kinds of key.
template Result<std::string> SearchOf<Key64>::checkpoint(std::vector<Blob*>&);
template Result<void> SearchOf<Key64>::sweep(bool);
template Result<void> SearchOf<Key64>::restore(const std::string&, const std::stop_token&);
template bool SearchOf<Key64>::is_consistent() const;
template Result<std::string> SearchOf<Key128>::checkpoint(std::vector<Blob*>&);
template Result<void> SearchOf<Key128>::sweep(bool);
template Result<void> SearchOf<Key128>::restore(const std::string&, const std::stop_token&);
template bool SearchOf<Key128>::is_consistent() const;

}  // namespace spillway::expand
