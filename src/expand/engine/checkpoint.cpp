#include "expand/engine/checkpoint.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include "core/json.hpp"

namespace spillway::expand {
namespace {

constexpr size_t kHexDigits = 16;

// What closes the object: `,"checksum":"<16 hex digits>"}` and a line end.
std::string ending(std::string_view body) {
  return fmt::format(",\"checksum\":\"{:0{}x}\"}}\n", XXH3_64bits(body.data(), body.size()),
                     kHexDigits);
}

}  // namespace

std::string checkpoint_text(const Checkpoint& checkpoint) {
  const std::string body =
      fmt::format("{{\"configuration\":{},\"packing\":\"{}\",\"search\":{}",
                  checkpoint.configuration, checkpoint.packing, checkpoint.search);
  return body + ending(body);
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  const size_t length = ending("").size();
  const std::string_view body = text.substr(0, text.size() - std::min(length, text.size()));
  if (body.empty() || text.substr(body.size()) != ending(body))
    return fail(Code::kCorrupt, "does not match its checksum");
  // Ordered, so that the texts come out as they went in.
  const auto json = parse_json<OrderedJson>(text);
  if (!json.is_object() || !json.contains("configuration") || !json.contains("search") ||
      !json.contains("packing") || !json["packing"].is_string()) {
    return fail(Code::kCorrupt, "is not a checkpoint");
  }
  return Checkpoint{json["configuration"].dump(), json["packing"].get<std::string>(),
                    json["search"].dump()};
}

}  // namespace spillway::expand
