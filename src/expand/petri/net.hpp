// A place/transition net as tables, and how they are built from nodes and arcs in any order.
//
// Arcs     normal: takes or gives tokens. inhibitor (from a place, weight w): the transition fires
//          only while the place holds fewer than w. test: only while it holds at least w; takes
//          none. reset: asks nothing; the firing empties the place. A firing takes first, then
//          empties, then gives. A place of capacity K: a firing that would leave more than K there
//          is not enabled.
// Memory   Counted before it grows; more than the limit is kMemoryLimit.
// Cost     Linear in nodes and arcs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "expand/problem/tables.hpp"

namespace spillway::expand {

constexpr uint32_t kMaxTokens = 0x7FFFFFFF;

// What one transition asks of one place, and does to it.
struct NetTouch {
  static constexpr uint32_t kAll = 0xFFFFFFFF;

  uint32_t place;
  uint32_t least = 0;          // tokens for it to be enabled, from
  uint32_t most = kMaxTokens;  // to
  uint32_t take = 0;           // kAll: empties the place
  uint32_t give = 0;

  bool asks() const { return least > 0 || most < kMaxTokens; }
  bool is_in_range(uint32_t tokens) const { return least <= tokens && tokens <= most; }
  // Of a marking in range.
  int64_t after(uint32_t tokens) const {
    return (take == kAll ? int64_t{0} : int64_t{tokens} - take) + give;
  }
};

class Net {
 public:
  std::string id;
  std::string fingerprint;       // 32 hex digits of all that decides the search
  std::vector<uint32_t> tokens;  // the initial marking, in document order

  size_t places() const { return tokens.size(); }
  size_t transitions() const { return touch_ends_.size(); }
  std::string_view place_id(size_t place) const {
    const uint64_t begin = place == 0 ? 0 : name_ends_[place - 1];
    return std::string_view(names_).substr(begin, name_ends_[place] - begin);
  }
  // One for each place that the transition has to do with; transitions in document order.
  std::span<const NetTouch> touches(size_t transition) const {
    const uint64_t begin = transition == 0 ? 0 : touch_ends_[transition - 1];
    return std::span(touches_).subspan(begin, touch_ends_[transition] - begin);
  }
  std::span<const NetTouch> touches() const { return touches_; }
  Bytes bytes() const;

 private:
  friend class NetBuilder;
  std::string names_;
  std::vector<uint64_t> name_ends_;
  std::vector<NetTouch> touches_;
  std::vector<uint64_t> touch_ends_;
};

class JsonHash;
enum class ArcKind : uint8_t { kNormal, kInhibitor, kTest, kReset };

struct TextPlace {  // in a document
  uint64_t line = 0;
  uint64_t byte = 0;
};

class NetBuilder {
 public:
  // `file` is what errors call the document.
  NetBuilder(std::string file, Bytes limit)
      : file_(std::move(file)), tally_(file_ + ": the net", limit) {}

  [[nodiscard]] Result<void> place(std::string_view id, uint32_t tokens, uint32_t capacity,
                                   TextPlace at);  // capacity kMaxTokens: none
  [[nodiscard]] Result<void> transition(std::string_view id, TextPlace at);
  // Stands for another node of its kind.
  [[nodiscard]] Result<void> reference(std::string_view id, bool to_place, std::string_view target,
                                       TextPlace at);
  [[nodiscard]] Result<void> arc(ArcKind kind, std::string_view source, std::string_view target,
                                 uint32_t weight, TextPlace at);
  [[nodiscard]] Result<Net> finish(std::string id) &&;

  // kInvalid: "FILE: line 3, byte 120: what".
  Error wrong(TextPlace at, std::string_view what) const;

 private:
  enum class NodeKind : uint8_t { kUnknown, kPlace, kTransition, kPlaceRef, kTransitionRef };
  struct Node {
    NodeKind kind = NodeKind::kUnknown;
    uint32_t index = 0;  // of the place or transition; of the node referred to
  };
  struct Arc {
    uint32_t source, target;  // nodes; once sorted, the place and the transition themselves
    uint32_t weight;
    ArcKind kind;
    TextPlace at;
    bool from_place = false;

    bool is_input() const { return from_place; }
    uint32_t place() const { return from_place ? source : target; }
  };
  struct Flow {  // arcs of one transition with one place, together
    uint32_t place;
    uint64_t weight;
  };

  Result<uint32_t> node(std::string_view id);
  Result<void> define(std::string_view id, Node is, TextPlace at);
  Result<Node> resolve(uint32_t node, const Arc& arc);
  Result<std::vector<uint32_t>> arcs_by_transition(std::vector<uint32_t>& ends);
  Result<void> add_touches(Net& net, std::span<const uint32_t> arcs);
  void bound(NetTouch& touch) const;
  Result<void> add_to(JsonHash& hash, uint32_t transition, std::span<const uint32_t> arcs);

  std::string file_;
  Tally tally_;
  NameTable ids_;
  std::vector<Node> nodes_;
  std::vector<uint32_t> place_nodes_, tokens_, capacities_, transition_nodes_;
  std::vector<Arc> arcs_;
  std::vector<uint64_t> touched_;  // a place: 1 + its touch, of the transition at hand or before
  std::vector<uint32_t> listed_;   // a place: 1 + its flow, of the list at hand
  std::vector<Flow> flows_;
};

}  // namespace spillway::expand
