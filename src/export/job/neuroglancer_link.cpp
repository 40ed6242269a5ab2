#include "export/job/neuroglancer_link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/json.hpp"

namespace spillway::exporter {
namespace {

constexpr const char* kViewer = "https://neuroglancer-demo.appspot.com/#!";
constexpr int kPort = 9000;

std::string percent_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || std::string_view("-_.~:/").find(c) < 6;
    out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string shell_quoted(const std::string& text) {
  if (text.find_first_not_of(
          "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_./+") ==
      std::string::npos)
    return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

NeuroglancerLink neuroglancer_link(const std::string& folder, const Scale& scale) {
  std::error_code error;
  const std::string name = std::filesystem::absolute(folder, error).filename().string();
  OrderedJson state;
  double longest = 1;
  const double finest = *std::min_element(scale.resolution.begin(), scale.resolution.end());
  OrderedJson position = OrderedJson::array();
  for (size_t d = 0; d < 3; ++d) {
    state["dimensions"][std::string(1, "xyz"[d])] = {scale.resolution[d] / 1e9, "m"};
    position.push_back(static_cast<double>(scale.voxel_offset[d]) +
                       static_cast<double>(scale.size[d]) / 2);
    longest = std::max(longest, static_cast<double>(scale.size[d]) * scale.resolution[d] / finest);
  }
  state["position"] = position;
  state["crossSectionScale"] = longest / 400;
  state["projectionScale"] = longest * 1.5;
  OrderedJson layer;
  layer["type"] = "segmentation";
  layer["source"] = fmt::format("precomputed://http://localhost:{}", kPort);
  layer["name"] = name.empty() ? "volume" : name;
  state["layers"] = OrderedJson::array();
  state["layers"].push_back(layer);
  state["layout"] = "4panel";
  NeuroglancerLink link;
  link.state = state.dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
  link.url = kViewer + percent_encoded(link.state);
  link.serve = fmt::format("npx http-server {} -p {} --cors", shell_quoted(folder), kPort);
  return link;
}

}  // namespace spillway::exporter
