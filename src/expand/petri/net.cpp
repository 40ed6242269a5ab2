#include "expand/petri/net.hpp"

#include <fmt/format.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <algorithm>

#include "core/json.hpp"
#include "core/printable.hpp"

namespace spillway::expand {
namespace {

template <class T>
uint64_t bytes_of(const std::vector<T>& table) {
  return table.capacity() * sizeof(T);
}

std::string quoted(std::string_view text) { return Json(text).dump(); }

}  // namespace

// The hash of a JSON array that is never held.
class JsonHash {
 public:
  JsonHash() {
    XXH3_128bits_reset(&state_);
    add("[");
  }
  void add(std::string_view text) { XXH3_128bits_update(&state_, text.data(), text.size()); }
  void part(const std::string& json) {
    if (!first_) add(",");
    first_ = false;
    add(json);
  }
  std::string finish() {
    add("]");
    const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  XXH3_state_t state_{};
  bool first_ = true;
};

Bytes Net::bytes() const {
  return Bytes(names_.capacity() + bytes_of(name_ends_) + bytes_of(tokens) + bytes_of(touches_) +
               bytes_of(touch_ends_));
}

Error NetBuilder::wrong(TextPlace at, std::string_view what) const {
  return Error(Code::kInvalid,
               fmt::format("{}: line {}, byte {}: {}", file_, at.line, at.byte, what));
}

// The node of an id, which may be met in an arc before it is defined.
Result<uint32_t> NetBuilder::node(std::string_view id) {
  const uint32_t number = TRY(ids_.number(id, tally_));
  if (number == nodes_.size()) TRY(tally_.push(nodes_, Node{}));
  return number;
}

Result<void> NetBuilder::define(std::string_view id, Node is, TextPlace at) {
  const uint32_t number = TRY(node(id));
  if (nodes_[number].kind != NodeKind::kUnknown)
    return fail(wrong(at, fmt::format("the id '{}' is used twice", printable(id))));
  nodes_[number] = is;
  return {};
}

Result<void> NetBuilder::place(std::string_view id, uint32_t tokens, uint32_t capacity,
                               TextPlace at) {
  if (tokens > capacity) {
    return fail(wrong(at, fmt::format("the place '{}' begins with {} tokens, above its capacity {}",
                                      printable(id), tokens, capacity)));
  }
  TRY(define(id, {NodeKind::kPlace, static_cast<uint32_t>(place_nodes_.size())}, at));
  TRY(tally_.push(place_nodes_, TRY(node(id))));
  TRY(tally_.push(tokens_, tokens));
  return tally_.push(capacities_, capacity);
}

Result<void> NetBuilder::transition(std::string_view id, TextPlace at) {
  TRY(define(id, {NodeKind::kTransition, static_cast<uint32_t>(transition_nodes_.size())}, at));
  return tally_.push(transition_nodes_, TRY(node(id)));
}

Result<void> NetBuilder::reference(std::string_view id, bool to_place, std::string_view target,
                                   TextPlace at) {
  const NodeKind kind = to_place ? NodeKind::kPlaceRef : NodeKind::kTransitionRef;
  const uint32_t to = TRY(node(target));
  return define(id, {kind, to}, at);
}

Result<void> NetBuilder::arc(ArcKind kind, std::string_view source, std::string_view target,
                             uint32_t weight, TextPlace at) {
  const uint32_t from = TRY(node(source));
  const uint32_t to = TRY(node(target));
  return tally_.push(arcs_, Arc{from, to, weight, kind, at});
}

// The place or transition behind a node. What was walked is shortened: all together is linear.
Result<NetBuilder::Node> NetBuilder::resolve(uint32_t first, const Arc& arc) {
  const auto is_reference = [&](uint32_t at) {
    return nodes_[at].kind == NodeKind::kPlaceRef || nodes_[at].kind == NodeKind::kTransitionRef;
  };
  uint32_t end = first;
  for (size_t steps = 0; is_reference(end); ++steps) {
    if (steps > nodes_.size()) {
      return fail(wrong(arc.at, fmt::format("the references of '{}' go in a circle",
                                            printable(ids_.name(first)))));
    }
    end = nodes_[end].index;
  }
  if (nodes_[end].kind == NodeKind::kUnknown) {
    return fail(wrong(arc.at, fmt::format("an arc names '{}', which is no place or transition",
                                          printable(ids_.name(end)))));
  }
  for (uint32_t at = first; is_reference(at);) {
    const uint32_t next = nodes_[at].index;
    const bool same =
        (nodes_[at].kind == NodeKind::kPlaceRef) == (nodes_[end].kind == NodeKind::kPlace);
    if (!same) {
      return fail(wrong(arc.at, fmt::format("the reference '{}' leads to a node of another kind",
                                            printable(ids_.name(at)))));
    }
    nodes_[at].index = end;
    at = next;
  }
  return nodes_[end];
}

// Checks every arc, gives it its place as source or target and its transition as the other, and
// returns the arcs sorted by transition, each's in document order.
Result<std::vector<uint32_t>> NetBuilder::arcs_by_transition(std::vector<uint32_t>& ends) {
  TRY(tally_.grow(ends, transition_nodes_.size()));
  ends.assign(transition_nodes_.size(), 0);
  for (Arc& arc : arcs_) {
    const Node source = TRY(resolve(arc.source, arc));
    const Node target = TRY(resolve(arc.target, arc));
    const auto both = [&] {
      return fmt::format("'{}' to '{}'", printable(ids_.name(arc.source)),
                         printable(ids_.name(arc.target)));
    };
    if (source.kind == target.kind) {
      return fail(wrong(
          arc.at, fmt::format("the arc from {} does not join a place and a transition", both())));
    }
    const bool is_input = source.kind == NodeKind::kPlace;
    if (!is_input && arc.kind != ArcKind::kNormal) {
      return fail(wrong(arc.at, fmt::format("the arc from {} is of a kind that goes from a place "
                                            "to a transition only",
                                            both())));
    }
    ++ends[(is_input ? target : source).index];
    arc.source = source.index;
    arc.target = target.index;
    arc.from_place = is_input;
  }
  uint32_t total = 0;
  for (uint32_t& end : ends) {
    const uint32_t begin = total;
    total += end;
    end = begin;
  }
  std::vector<uint32_t> sorted;
  TRY(tally_.grow(sorted, arcs_.size()));
  sorted.resize(arcs_.size());
  for (uint32_t i = 0; i < arcs_.size(); ++i) {
    sorted[ends[arcs_[i].is_input() ? arcs_[i].target : arcs_[i].source]++] = i;
  }
  return sorted;
}

// Lets the place's capacity bound the marking before the firing.
void NetBuilder::bound(NetTouch& touch) const {
  const int64_t capacity = capacities_[touch.place];
  if (capacity == kMaxTokens) return;
  const int64_t gain = touch.take == NetTouch::kAll ? touch.give : touch.after(0);
  const int64_t most = touch.take == NetTouch::kAll ? (gain <= capacity ? kMaxTokens : -1)
                       : gain > 0                   ? capacity - gain
                                                    : int64_t{kMaxTokens};
  if (most < 0) {  // it can never fire
    touch.least = 1;
    touch.most = 0;
  } else {
    touch.most = std::min(touch.most, static_cast<uint32_t>(most));
  }
}

// The touches of one transition from its arcs.
Result<void> NetBuilder::add_touches(Net& net, std::span<const uint32_t> arcs) {
  const uint64_t first = net.touches_.size();
  for (const uint32_t index : arcs) {
    const Arc& arc = arcs_[index];
    const uint32_t place = arc.place();
    uint64_t& touched = touched_[place];
    if (touched <= first) {
      TRY(tally_.push(net.touches_, NetTouch{place}));
      touched = net.touches_.size();
    }
    NetTouch& touch = net.touches_[touched - 1];
    if (arc.kind == ArcKind::kTest) touch.least = std::max(touch.least, arc.weight);
    if (arc.kind == ArcKind::kInhibitor) touch.most = std::min(touch.most, arc.weight - 1);
    if (arc.kind != ArcKind::kNormal) continue;
    uint32_t& sum = arc.is_input() ? touch.take : touch.give;
    if (uint64_t{sum} + arc.weight > kMaxTokens) {
      return fail(wrong(arc.at, fmt::format("the arcs of one transition with '{}' weigh too much "
                                            "together",
                                            printable(ids_.name(place_nodes_[place])))));
    }
    sum += arc.weight;
  }
  for (uint64_t i = first; i < net.touches_.size(); ++i)
    net.touches_[i].least = std::max(net.touches_[i].least, net.touches_[i].take);
  for (const uint32_t index : arcs) {
    if (arcs_[index].kind == ArcKind::kReset)
      net.touches_[touched_[arcs_[index].place()] - 1].take = NetTouch::kAll;
  }
  for (uint64_t i = first; i < net.touches_.size(); ++i) bound(net.touches_[i]);
  return tally_.push(net.touch_ends_, uint64_t{net.touches_.size()});
}

// ["id",[inputs,null,outputs,"inhibitor",...]]: arcs as [place,weight]; a place has one input and
// one output.
Result<void> NetBuilder::add_to(JsonHash& hash, uint32_t transition,
                                std::span<const uint32_t> arcs) {
  bool first = true;
  const auto item = [&](std::string_view text) {
    if (!std::exchange(first, false)) hash.add(",");
    hash.add(text);
  };
  const auto list = [&](bool inputs) -> Result<void> {
    flows_.clear();
    for (const uint32_t index : arcs) {
      const Arc& arc = arcs_[index];
      if (arc.kind != ArcKind::kNormal || arc.is_input() != inputs) continue;
      uint32_t& at = listed_[arc.place()];
      if (at == 0) {
        TRY(tally_.push(flows_, Flow{arc.place(), 0}));
        at = static_cast<uint32_t>(flows_.size());
      }
      flows_[at - 1].weight += arc.weight;
    }
    for (const Flow& flow : flows_) {
      listed_[flow.place] = 0;
      item(fmt::format("[{},{}]", flow.place, flow.weight));
    }
    return {};
  };
  hash.part("[" + quoted(ids_.name(transition_nodes_[transition])) + ",[");
  TRY(list(true));
  item("null");
  TRY(list(false));
  for (const auto& [kind, word] :
       {std::pair(ArcKind::kInhibitor, "\"inhibitor\""), std::pair(ArcKind::kTest, "\"test\""),
        std::pair(ArcKind::kReset, "\"reset\"")}) {
    bool told = false;
    for (const uint32_t index : arcs) {
      const Arc& arc = arcs_[index];
      if (arc.kind != kind) continue;
      if (!std::exchange(told, true)) item(word);
      item(fmt::format("[{},{}]", arc.place(), arc.weight));
    }
  }
  hash.add("]]");
  return {};
}

Result<Net> NetBuilder::finish(std::string id) && {
  if (arcs_.size() > 0x7FFFFFFF) return fail(Code::kTooLarge, file_ + ": has more than 2^31 arcs");
  std::vector<uint32_t> ends;
  const std::vector<uint32_t> sorted = TRY(arcs_by_transition(ends));
  Net net;
  net.id = std::move(id);
  JsonHash hash;
  for (uint32_t place = 0; place < place_nodes_.size(); ++place) {
    const std::string_view place_name = ids_.name(place_nodes_[place]);
    TRY(tally_.append(net.names_, place_name));
    TRY(tally_.push(net.name_ends_, uint64_t{net.names_.size()}));
    hash.part(
        capacities_[place] == kMaxTokens
            ? fmt::format("[{},{}]", quoted(place_name), tokens_[place])
            : fmt::format("[{},{},{}]", quoted(place_name), tokens_[place], capacities_[place]));
  }
  TRY(tally_.grow(touched_, place_nodes_.size()));
  touched_.assign(place_nodes_.size(), 0);
  TRY(tally_.grow(listed_, place_nodes_.size()));
  listed_.assign(place_nodes_.size(), 0);
  uint32_t begin = 0;
  for (uint32_t transition = 0; transition < transition_nodes_.size(); ++transition) {
    const std::span<const uint32_t> arcs =
        std::span(sorted).subspan(begin, ends[transition] - begin);
    begin = ends[transition];
    TRY(add_touches(net, arcs));
    TRY(add_to(hash, transition, arcs));
  }
  net.tokens = std::move(tokens_);
  net.fingerprint = hash.finish();
  return net;
}

}  // namespace spillway::expand
