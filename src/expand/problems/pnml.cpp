#include "expand/problems/pnml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <pugixml.hpp>
#include <unordered_map>

#include "core/disk/durable_file.hpp"

namespace spillway::expand {
namespace {

constexpr uint64_t kMaxFile = uint64_t{256} << 20;

std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child(const pugi::xml_node& node, std::string_view name) {
  for (const pugi::xml_node& inner : node.children()) {
    if (local_name(inner) == name) return inner;
  }
  return {};
}

enum class NodeKind { kPlace, kTransition };
struct Node {
  NodeKind kind;
  uint32_t index = 0;     // when it is not a reference
  std::string reference;  // the id it stands for
};
struct RawArc {
  std::string source, target;
  uint32_t weight;
  ptrdiff_t offset;
};

class Reader {
 public:
  Reader(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {}

  Result<Net> read() {
    pugi::xml_document document;
    const pugi::xml_parse_result parsed = document.load_buffer(text_.data(), text_.size());
    if (!parsed)
      return wrong(parsed.offset, fmt::format("not well-formed XML: {}", parsed.description()));
    const pugi::xml_node root = document.document_element();
    const pugi::xml_node net = child(root, "net");
    if (local_name(root) != "pnml" || !net)
      return wrong(0, "not a PNML document: it has no pnml element with a net");
    const std::string_view type = net.attribute("type").value();
    const std::string_view short_type =
        type.substr(type.rfind('/') == std::string_view::npos ? 0 : type.rfind('/') + 1);
    if (short_type != "ptnet") {
      return wrong(
          net.offset_debug(),
          fmt::format("the net is of type '{}'; only P/T nets (ptnet) are searched", short_type));
    }
    net_.id = net.attribute("id").value();
    TRY(read_page(net));
    TRY(connect());
    if (net_.places.empty()) return wrong(net.offset_debug(), "the net has no places");
    return std::move(net_);
  }

 private:
  tl::unexpected<Error> wrong(ptrdiff_t offset, const std::string& what) const {
    const size_t end = std::min(text_.size(), static_cast<size_t>(std::max<ptrdiff_t>(offset, 0)));
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(end), '\n');
    return fail(Code::kInvalid, fmt::format("{}: line {}: {}", path_, line, what));
  }

  // The number in <name><text>...</text></name>, or `missing` without one.
  Result<uint32_t> number(const pugi::xml_node& node, std::string_view name,
                          uint32_t missing) const {
    const pugi::xml_node holder = child(node, name);
    if (!holder) return missing;
    std::string_view text = child(holder, "text").text().get();
    const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    uint32_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || value > kMaxTokens) {
      return wrong(holder.offset_debug(),
                   fmt::format("the {} of '{}' is '{}', not a number from 0 to {}", name,
                               node.attribute("id").value(), text.substr(0, 40), kMaxTokens));
    }
    return value;
  }

  Result<void> add(const pugi::xml_node& node, Node entry) {
    const std::string id = node.attribute("id").value();
    if (id.empty())
      return wrong(node.offset_debug(), fmt::format("a {} has no id", local_name(node)));
    if (!nodes_.emplace(id, std::move(entry)).second)
      return wrong(node.offset_debug(), fmt::format("the id '{}' is used twice", id));
    return {};
  }

  Result<void> read_page(const pugi::xml_node& page) {
    for (const pugi::xml_node& node : page.children()) {
      const std::string_view name = local_name(node);
      const std::string id = node.attribute("id").value();
      if (name == "page") {
        if (++depth_ > 1000) return wrong(node.offset_debug(), "pages are nested too deep");
        TRY(read_page(node));
        --depth_;
      } else if (name == "place") {
        TRY(add(node, {NodeKind::kPlace, static_cast<uint32_t>(net_.places.size()), ""}));
        const auto tokens = TRY(number(node, "initialMarking", 0));
        net_.places.push_back({id, tokens});
      } else if (name == "transition") {
        TRY(add(node, {NodeKind::kTransition, static_cast<uint32_t>(net_.transitions.size()), ""}));
        net_.transitions.push_back({id, {}, {}});
      } else if (name == "referencePlace") {
        TRY(add(node, {NodeKind::kPlace, 0, node.attribute("ref").value()}));
      } else if (name == "referenceTransition") {
        TRY(add(node, {NodeKind::kTransition, 0, node.attribute("ref").value()}));
      } else if (name == "arc") {
        const auto weight = TRY(number(node, "inscription", 1));
        arcs_.push_back({node.attribute("source").value(), node.attribute("target").value(), weight,
                         node.offset_debug()});
        if (arcs_.back().weight == 0)
          return wrong(node.offset_debug(), fmt::format("the arc '{}' has weight 0", id));
      }
    }
    return {};
  }

  // The place or transition behind an id, through its references.
  Result<const Node*> resolve(const std::string& id, const RawArc& arc) const {
    std::string at = id;
    for (size_t steps = 0; steps <= nodes_.size(); ++steps) {
      const auto found = nodes_.find(at);
      if (found == nodes_.end())
        return wrong(arc.offset,
                     fmt::format("an arc names '{}', which is no place or transition", at));
      if (found->second.reference.empty()) return &found->second;
      at = found->second.reference;
    }
    return wrong(arc.offset, fmt::format("the references of '{}' go in a circle", id));
  }

  Result<void> connect() {
    for (const RawArc& arc : arcs_) {
      const Node* const source = TRY(resolve(arc.source, arc));
      const Node* const target = TRY(resolve(arc.target, arc));
      if (source->kind == target->kind) {
        return wrong(arc.offset,
                     fmt::format("the arc from '{}' to '{}' does not join a place and a transition",
                                 arc.source, arc.target));
      }
      const bool input = source->kind == NodeKind::kPlace;
      NetTransition& transition = net_.transitions[(input ? target : source)->index];
      std::vector<NetArc>& list = input ? transition.inputs : transition.outputs;
      const uint32_t place = (input ? source : target)->index;
      const auto same = std::find_if(list.begin(), list.end(),
                                     [&](const NetArc& other) { return other.place == place; });
      if (same == list.end()) {
        list.push_back({place, arc.weight});
      } else if (uint64_t{same->weight} + arc.weight > kMaxTokens) {
        return wrong(arc.offset, fmt::format("the arcs from '{}' to '{}' weigh too much together",
                                             arc.source, arc.target));
      } else {
        same->weight += arc.weight;
      }
    }
    return {};
  }

  std::string path_, text_;
  Net net_;
  std::unordered_map<std::string, Node> nodes_;
  std::vector<RawArc> arcs_;
  size_t depth_ = 0;
};

}  // namespace

Result<Net> read_pnml(const std::string& path) {
  return parse_pnml(TRY(read_small_file(path, kMaxFile)), path);
}

Result<Net> parse_pnml(std::string text, const std::string& name) {
  return Reader(name, std::move(text)).read();
}

}  // namespace spillway::expand
