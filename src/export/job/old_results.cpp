#include "export/job/old_results.hpp"

#include <fmt/format.h>

#include <string_view>

#include "core/file/folders.hpp"

namespace spillway::exporter {
namespace {

// Takes a number off the front: digits, perhaps behind a sign.
bool take_number(std::string_view& text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t digits = text.find_first_not_of("0123456789");
  const size_t end = digits == std::string_view::npos ? text.size() : digits;
  text.remove_prefix(end);
  return end > 0;
}
bool take(std::string_view& text, char wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

bool is_cell_name(std::string_view text) {
  for (int axis = 0; axis < 3; ++axis) {
    if ((axis > 0 && !take(text, '_')) || !take_number(text)) return false;
  }
  return text == ".arrow" || text == ".csv";
}
bool is_chunk_name(std::string_view text) {
  for (int axis = 0; axis < 3; ++axis) {
    if ((axis > 0 && !take(text, '_')) || !take_number(text) || !take(text, '-') ||
        !take_number(text))
      return false;
  }
  return text.empty();
}
bool is_shard_name(std::string_view text) {
  const size_t digits = text.find_first_not_of("0123456789abcdef");
  return digits != std::string_view::npos && digits > 0 && text.substr(digits) == ".shard";
}

Result<void> remove_results_below(const std::string& folder) {
  return for_each_entry(folder, [&](const std::string& name) -> Result<void> {
    const std::string path = folder + "/" + name;
    const auto info = TRY(look_at(path));
    if (info && info->is_folder()) return remove_results_below(path);
    if (is_result_name(name)) TRY(remove_file(path));
    return {};
  });
}

}  // namespace

bool is_result_name(const std::string& name) {
  return is_cell_name(name) || is_chunk_name(name) || is_shard_name(name);
}

Result<void> remove_old_results(const std::string& out) {
  if (!TRY(is_folder(out))) return {};
  if (TRY(remove_file(out + "/manifest.json"))) TRY(sync_folder(out));
  for (const char* name : {"info", "spec.json", "rejects.csv", "report.json"})
    TRY(remove_file(out + "/" + name));
  return for_each_entry(out, [&](const std::string& name) -> Result<void> {
    const std::string path = out + "/" + name;
    return name != ".spillway" && TRY(is_folder(path)) ? remove_results_below(path)
                                                       : Result<void>();
  });
}

}  // namespace spillway::exporter
