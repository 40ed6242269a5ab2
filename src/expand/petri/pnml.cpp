#include "expand/petri/pnml.hpp"

#include <expat.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "core/printable.hpp"

namespace spillway::expand {
namespace {

constexpr size_t kParserBytes = size_t{4} << 20;
constexpr size_t kMostPages = 1000;  // within each other
constexpr size_t kMostText = 256;    // of a number or a word

// What expat holds, bounded: it keeps a whole tag, comment or entity value, however long.
thread_local size_t parser_held = 0;
struct Held {
  alignas(16) size_t size;
};
void* parser_realloc(void* old, size_t size) {
  Held* const before = old == nullptr ? nullptr : static_cast<Held*>(old) - 1;
  const size_t was = before == nullptr ? 0 : before->size;
  if (size > kParserBytes || parser_held - was + size > kParserBytes) return nullptr;
  auto* const block = static_cast<Held*>(std::realloc(before, sizeof(Held) + size));
  if (block == nullptr) return nullptr;
  block->size = size;
  parser_held += size - was;
  return block + 1;
}
void* parser_malloc(size_t size) { return parser_realloc(nullptr, size); }
void parser_free(void* old) {
  if (old == nullptr) return;
  Held* const block = static_cast<Held*>(old) - 1;
  parser_held -= block->size;
  std::free(block);
}

std::string_view local_name(std::string_view name) {
  return name.substr(name.rfind(':') == std::string_view::npos ? 0 : name.rfind(':') + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view without_leading_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

std::string_view trimmed(std::string_view text) {
  text = without_leading_blanks(text);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::array<std::string_view, 4> kTypes = {"ptnet", "p/t net", "ptnetb", "epnml-1.1"};
// Elements that change nothing, wherever they stand.
constexpr std::array<std::string_view, 9> kDecoration = {
    "name",    "graphics",    "toolspecific",  "label",     "labels",
    "comment", "description", "documentation", "definition"};
// Those of one kind of element: PIPE's colour of its only token, the shape of an arc; of stochastic
// nets what says how often, not whether.
constexpr std::array<std::string_view, 1> kNetDecoration = {"token"};
constexpr std::array<std::string_view, 2> kArcDecoration = {"tagged", "arcpath"};
constexpr std::array<std::string_view, 5> kTransitionDecoration = {
    "rate", "orientation", "infiniteServer", "probability", "server"};
constexpr std::array<std::string_view, 8> kKindWords = {"type",    "kind",    "arctype", "arcType",
                                                        "arcKind", "arckind", "Type",    "ArcType"};

std::optional<ArcKind> arc_kind(std::string_view word) {
  static constexpr std::array<std::string_view, 6> kNormal = {"",    "normal",  "ptnormal",
                                                              "arc", "default", "standard"};
  static constexpr std::array<std::string_view, 4> kInhibitor = {"inhibitor", "inhibitorarc",
                                                                 "inhibit", "inhibition"};
  static constexpr std::array<std::string_view, 5> kTest = {"test", "testarc", "read", "readarc",
                                                            "activator"};
  static constexpr std::array<std::string_view, 2> kReset = {"reset", "resetarc"};
  const std::string plain = lower(trimmed(word));
  if (is_one_of(plain, kNormal)) return ArcKind::kNormal;
  if (is_one_of(plain, kInhibitor)) return ArcKind::kInhibitor;
  if (is_one_of(plain, kTest)) return ArcKind::kTest;
  if (is_one_of(plain, kReset)) return ArcKind::kReset;
  return std::nullopt;
}

class Reader {
 public:
  Reader(std::string file, Bytes limit) : builder_(std::move(file), limit) {
    const XML_Memory_Handling_Suite memory{parser_malloc, parser_realloc, parser_free};
    parser_.reset(XML_ParserCreate_MM(nullptr, &memory, nullptr));
    if (!parser_) return;
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(
        parser_.get(),
        [](void* self, const char* name, const char** attributes) {
          static_cast<Reader*>(self)->guard(
              [&](Reader& reader) { return reader.start(name, attributes); });
        },
        [](void* self, const char*) {
          static_cast<Reader*>(self)->guard([](Reader& reader) { return reader.end(); });
        });
    XML_SetCharacterDataHandler(parser_.get(), [](void* self, const char* text, int size) {
      static_cast<Reader*>(self)->guard([&](Reader& reader) {
        return reader.characters({text, static_cast<size_t>(size)});
      });
    });
    // What stands for text that is not in the document would be left out.
    XML_SetSkippedEntityHandler(parser_.get(), [](void* self, const char* name, int) {
      static_cast<Reader*>(self)->guard([&](Reader& reader) { return reader.entity(name); });
    });
    XML_SetExternalEntityRefHandlerArg(parser_.get(), this);
    XML_SetExternalEntityRefHandler(
        parser_.get(),
        [](XML_Parser self, const char* context, const char*, const char*, const char*) -> int {
          reinterpret_cast<Reader*>(self)->guard([&](Reader& reader) {
            return reader.entity(context != nullptr ? context : "of the document type");
          });
          return XML_STATUS_ERROR;
        });
  }

  Result<void> feed(std::span<const uint8_t> piece, bool last) {
    if (!parser_) return fail(Code::kInternal, "the XML parser did not start");
    const XML_Status status =
        XML_Parse(parser_.get(), reinterpret_cast<const char*>(piece.data()),
                  static_cast<int>(piece.size()), last ? XML_TRUE : XML_FALSE);
    if (error_) return fail(std::move(*error_));
    if (status == XML_STATUS_OK) return {};
    const XML_Error code = XML_GetErrorCode(parser_.get());
    if (code == XML_ERROR_NO_MEMORY) {
      return fail(builder_.wrong(here(), fmt::format("a tag, comment or entity of more than {}",
                                                     to_string(Bytes(kParserBytes)))));
    }
    return fail(
        builder_.wrong(here(), fmt::format("not well-formed XML: {}", XML_ErrorString(code))));
  }

  Result<Net> finish() {
    TRY(feed({}, true));
    if (!has_net_) return not_pnml();
    Net net = TRY(std::move(builder_).finish(std::move(net_id_)));
    if (net.places() == 0) return fail(builder_.wrong(net_at_, "the net has no places"));
    return net;
  }

 private:
  enum class In { kDocument, kPnml, kNet, kNode, kArc, kHolder, kText, kTool, kKind, kSkipped };
  enum class Node { kPlace, kTransition, kPlaceRef, kTransitionRef };
  // An element that holds a number or a word, as its text or that of its <text> or <value>.
  struct Holder {
    bool met = false;
    std::string text;
  };

  template <class Step>
  void guard(Step&& step) {
    if (error_) return;
    Result<void> done = step(*this);
    if (done) return;
    error_ = std::move(done).error();
    XML_StopParser(parser_.get(), XML_FALSE);
  }
  TextPlace here() const {
    return {XML_GetCurrentLineNumber(parser_.get()),
            static_cast<uint64_t>(std::max<XML_Index>(0, XML_GetCurrentByteIndex(parser_.get())))};
  }
  tl::unexpected<Error> wrong(std::string_view what) const {
    return fail(builder_.wrong(here(), what));
  }
  // At the node or arc being read.
  tl::unexpected<Error> wrong_there(std::string_view what) const {
    return fail(builder_.wrong(at_, what));
  }
  tl::unexpected<Error> not_pnml() const {
    return wrong("not a PNML document: it has no pnml element with a net");
  }
  tl::unexpected<Error> unknown(std::string_view what, std::string_view name) const {
    return wrong(fmt::format("{} '{}' of {} may change what the net does and is not understood",
                             what, printable(name), owner_));
  }

  Result<void> start(std::string_view full_name, const char** attributes) {
    const std::string_view name = local_name(full_name);
    switch (stack_.back()) {
      case In::kDocument:
        if (name != "pnml") return not_pnml();
        owner_ = "the document";
        return enter(In::kPnml);
      case In::kPnml:
        if (name == "net") return start_net(attributes);
        break;
      case In::kNet:
        return start_in_net(name, attributes);
      case In::kNode: {
        Holder* const holder = node_holder(name);
        if (holder != nullptr) return start_holder(*holder, name);
        if (node_ == Node::kTransition && is_one_of(name, kTransitionDecoration))
          return enter(In::kSkipped);
        break;
      }
      case In::kArc:
        if (name == "inscription") return start_holder(weight_, name);
        if (is_one_of(name, kKindWords)) return start_kind(attributes, false);
        if (name == "toolspecific") return enter(In::kTool);
        if (is_one_of(name, kArcDecoration)) return enter(In::kSkipped);
        break;
      case In::kHolder:
      case In::kKind:
        if (stack_.back() == In::kKind && kind_of_tool_) return enter(In::kSkipped);
        if (name == "text" || name == "value") {
          if (in_part_ || !holder_->text.empty()) return two_values();
          in_part_ = true;
          return enter(In::kText);
        }
        break;
      case In::kTool:
        if (is_one_of(name, kKindWords)) return start_kind(attributes, true);
        return enter(In::kTool);
      case In::kSkipped:
        return enter(In::kSkipped);
      case In::kText:
        break;
    }
    if (is_one_of(name, kDecoration)) return enter(In::kSkipped);
    return unknown("the element", name);
  }

  Result<void> end() {
    const In left = stack_.back();
    stack_.pop_back();
    if (left == In::kNode || left == In::kArc) {
      TRY(left == In::kNode ? end_node() : end_arc());
      owner_ = pages_.back();
    }
    if (left == In::kKind && holder_ != nullptr) {
      const std::string word(trimmed(holder_->text));
      const auto kind = arc_kind(word);
      const bool is_told = !kind_of_tool_ && !word.empty();
      if (kind && (is_told || *kind != ArcKind::kNormal)) TRY(set_kind(*kind));
      if (!kind && !kind_of_tool_) return wrong_kind(word);
    }
    if (left == In::kHolder || left == In::kKind) holder_ = nullptr;
    if (left == In::kNet && !pages_.empty()) pages_.pop_back();
    if (left == In::kNet && !pages_.empty()) owner_ = pages_.back();
    return {};
  }

  Result<void> characters(std::string_view text) {
    if (holder_ == nullptr) return {};
    const In in = stack_.back();
    const bool direct = in == In::kHolder || in == In::kKind;
    if (in != In::kText && !direct) return {};
    std::string& held = holder_->text;
    if (direct && in_part_)
      return without_leading_blanks(text).empty() ? Result<void>() : two_values();
    if (held.empty()) text = without_leading_blanks(text);
    // One more than is taken for a number or word: it is seen to be too long.
    held.append(text.substr(0, kMostText + 1 - std::min(kMostText + 1, held.size())));
    return {};
  }
  tl::unexpected<Error> two_values() const {
    return wrong(owner_ + " has an element with two values, or with one beside its <text>");
  }
  Result<void> entity(std::string_view name) const {
    return wrong(
        fmt::format("the entity '{}' is not declared here, or stands for another file; "
                    "put in what it stands for (xmllint --noent)",
                    printable(name)));
  }

  Result<void> enter(In in) {
    stack_.push_back(in);
    if (stack_.size() > 10'000) return wrong("elements are nested too deep");
    return {};
  }

  static std::string_view attribute(const char** attributes, std::string_view name) {
    for (; *attributes != nullptr; attributes += 2) {
      if (attributes[0] == name) return attributes[1];
    }
    return {};
  }

  Result<void> start_net(const char** attributes) {
    const std::string_view id = attribute(attributes, "id");
    if (has_net_) {
      return wrong(
          fmt::format("the document has a second net, '{}', beside '{}': one is searched; "
                      "put each into a file of its own",
                      printable(id), printable(net_id_)));
    }
    has_net_ = true;
    net_id_ = id;
    net_at_ = here();
    const std::string_view type = attribute(attributes, "type");
    const std::string_view last =
        type.substr(type.rfind('/') == std::string_view::npos ? 0 : type.rfind('/') + 1);
    if (!is_one_of(lower(type), kTypes) && !is_one_of(lower(last), kTypes)) {
      return wrong(fmt::format("the net is of type '{}'; only P/T nets (ptnet) are searched",
                               printable(last)));
    }
    return enter_page("the net '" + printable(id) + "'");
  }

  Result<void> enter_page(std::string owner) {
    if (pages_.size() > kMostPages) return wrong("pages are nested too deep");
    owner_ = owner;
    pages_.push_back(std::move(owner));
    return enter(In::kNet);
  }

  Result<void> start_in_net(std::string_view name, const char** attributes) {
    if (name == "page")
      return enter_page("the page '" + printable(attribute(attributes, "id")) + "'");
    if (name == "place") return start_node(Node::kPlace, name, attributes);
    if (name == "transition") return start_node(Node::kTransition, name, attributes);
    if (name == "referencePlace") return start_node(Node::kPlaceRef, name, attributes);
    if (name == "referenceTransition") return start_node(Node::kTransitionRef, name, attributes);
    if (name == "arc") return start_arc(ArcKind::kNormal, attributes);
    if (name.size() > 3 && name.ends_with("Arc")) {
      const auto kind = arc_kind(name);
      if (kind) return start_arc(*kind, attributes);
    }
    if (is_one_of(name, kDecoration) || is_one_of(name, kNetDecoration)) return enter(In::kSkipped);
    return unknown("the element", name);
  }

  // The known attributes; what has a prefix is of another vocabulary.
  Result<void> check_attributes(const char** attributes,
                                std::initializer_list<std::string_view> known) {
    for (; *attributes != nullptr; attributes += 2) {
      const std::string_view name = attributes[0];
      if (name.find(':') != std::string_view::npos || name == "xmlns" || name == "name" ||
          name == "label" || name == "displayName" ||
          std::find(known.begin(), known.end(), name) != known.end())
        continue;
      return unknown("the attribute", name);
    }
    return {};
  }

  Result<void> start_node(Node node, std::string_view element, const char** attributes) {
    node_ = node;
    id_ = attribute(attributes, "id");
    owner_ = fmt::format("the {} '{}'", element, printable(id_));
    if (id_.empty()) return wrong(fmt::format("a {} has no id", element));
    const bool is_reference = node == Node::kPlaceRef || node == Node::kTransitionRef;
    if (is_reference) {
      TRY(check_attributes(attributes, {"id", "ref"}));
      ref_ = attribute(attributes, "ref");
    } else {
      TRY(check_attributes(attributes, {"id"}));
    }
    at_ = here();
    tokens_ = capacity_ = priority_ = timed_ = {};
    return enter(In::kNode);
  }

  Holder* node_holder(std::string_view name) {
    if (node_ == Node::kPlace && name == "initialMarking") return &tokens_;
    if (node_ == Node::kPlace && name == "capacity") return &capacity_;
    if (node_ == Node::kTransition && name == "priority") return &priority_;
    if (node_ == Node::kTransition && name == "timed") return &timed_;
    return nullptr;
  }

  Result<void> start_holder(Holder& holder, std::string_view name) {
    if (holder.met) return wrong(fmt::format("{} has two elements '{}'", owner_, name));
    holder.met = true;
    holder_ = &holder;
    in_part_ = false;
    return enter(In::kHolder);
  }

  Result<void> start_arc(ArcKind kind, const char** attributes) {
    id_ = attribute(attributes, "id");
    owner_ = fmt::format("the arc '{}'", printable(id_));
    TRY(check_attributes(attributes,
                         {"id", "source", "target", "type", "kind", "arctype", "arcType"}));
    source_ = attribute(attributes, "source");
    target_ = attribute(attributes, "target");
    at_ = here();
    kind_ = kind;
    has_kind_ = kind != ArcKind::kNormal;
    weight_ = {};
    for (const std::string_view word : kKindWords) {
      const std::string_view value = attribute(attributes, word);
      const auto named = arc_kind(value);
      if (!named) return wrong_kind(value);
      if (!value.empty()) TRY(set_kind(*named));
    }
    return enter(In::kArc);
  }

  Result<void> start_kind(const char** attributes, bool of_tool) {
    kind_holder_ = {};
    kind_holder_.text = attribute(attributes, "value");
    holder_ = &kind_holder_;
    in_part_ = !kind_holder_.text.empty();
    kind_of_tool_ = of_tool;
    return enter(In::kKind);
  }

  Result<void> set_kind(ArcKind kind) {
    if (has_kind_ && kind_ != kind) return wrong(owner_ + " is of two kinds");
    has_kind_ = true;
    kind_ = kind;
    return {};
  }
  tl::unexpected<Error> wrong_kind(std::string_view word) const {
    return wrong(
        fmt::format("{} is of the kind '{}'; known are normal, inhibitor, test (read) and "
                    "reset",
                    owner_, printable(word)));
  }

  // The number in a holder, or `missing` without one. PIPE writes "Default,1": the kind of token.
  Result<uint32_t> number(const Holder& holder, std::string_view what, uint32_t missing) {
    if (!holder.met) return missing;
    const std::string_view all = trimmed(holder.text);
    std::string_view text = all;
    const size_t comma = text.find(',');
    if (comma != std::string_view::npos && comma > 0) {
      const std::string_view token = trimmed(text.substr(0, comma));
      if (token_.empty()) token_ = token;
      text = trimmed(text.substr(comma + 1));
      if (token != token_ || text.find(',') != std::string_view::npos) {
        return wrong_there(
            fmt::format("the {} of {} is '{}': tokens of several kinds (colours) are not "
                        "understood",
                        what, owner_, printable(all)));
      }
    }
    uint32_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (all.size() > kMostText || parsed.ec != std::errc() ||
        parsed.ptr != text.data() + text.size() || value > kMaxTokens) {
      return wrong_there(fmt::format("the {} of {} is '{}', not a number from 0 to {}", what,
                                     owner_, printable(all), kMaxTokens));
    }
    return value;
  }

  // What all transitions must have in common for it to mean nothing.
  Result<void> same_for_all(const Holder& holder, std::string_view what,
                            std::optional<std::string>& common) {
    const std::string word(trimmed(holder.text));
    if (!common) common = word;
    if (*common == word) return {};
    return wrong_there(
        fmt::format("{} has the {} '{}' and another transition '{}': the net says which "
                    "fires first, which is not understood",
                    owner_, what, printable(word), printable(*common)));
  }

  Result<void> end_node() {
    switch (node_) {
      case Node::kPlace: {
        const uint32_t tokens = TRY(number(tokens_, "initialMarking", 0));
        const uint32_t capacity = TRY(number(capacity_, "capacity", 0));
        return builder_.place(id_, tokens, capacity == 0 ? kMaxTokens : capacity, at_);
      }
      case Node::kTransition:
        TRY(same_for_all(priority_, "priority", priority_of_all_));
        TRY(same_for_all(timed_, "value of timed", timed_of_all_));
        return builder_.transition(id_, at_);
      case Node::kPlaceRef:
        return builder_.reference(id_, true, ref_, at_);
      case Node::kTransitionRef:
        return builder_.reference(id_, false, ref_, at_);
    }
    return {};
  }

  Result<void> end_arc() {
    const uint32_t weight = TRY(number(weight_, "inscription", 1));
    if (weight == 0) return wrong_there(owner_ + " has weight 0");
    if (kind_ == ArcKind::kReset && weight != 1)
      return wrong_there(
          owner_ + " is a reset arc and has a weight: it empties the place whatever it holds");
    return builder_.arc(kind_, source_, target_, weight, at_);
  }

  struct ParserFree {
    void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
  };
  std::unique_ptr<std::remove_pointer_t<XML_Parser>, ParserFree> parser_;
  NetBuilder builder_;
  std::optional<Error> error_;
  std::vector<In> stack_{In::kDocument};
  std::vector<std::string> pages_;  // at most kMostPages
  std::string owner_;               // what is being read, as errors call it
  bool has_net_ = false;
  std::string net_id_;
  TextPlace net_at_;
  // The node or arc being read.
  Node node_ = Node::kPlace;
  TextPlace at_;
  std::string id_, ref_, source_, target_;
  ArcKind kind_ = ArcKind::kNormal;
  bool has_kind_ = false;  // its element or an attribute says so
  Holder tokens_, capacity_, priority_, timed_, weight_, kind_holder_;
  Holder* holder_ = nullptr;   // that text belongs to
  bool in_part_ = false;       // its text was in a <text> or <value>
  bool kind_of_tool_ = false;  // within toolspecific, where a type may be anything
  std::string token_;          // PIPE's name of the only kind of token
  std::optional<std::string> priority_of_all_, timed_of_all_;
};

}  // namespace

Result<Net> read_pnml(const std::string& path, const ProblemContext& context) {
  Reader reader(path, context.room());
  TRY(read_input(path, context.stop,
                 [&](std::span<const uint8_t> piece) { return reader.feed(piece, false); }));
  return reader.finish();
}

Result<Net> parse_pnml(std::string_view text, const std::string& name, Bytes limit) {
  Reader reader(name, limit);
  const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
  TRY(reader.feed({bytes, text.size()}, false));
  return reader.finish();
}

}  // namespace spillway::expand
