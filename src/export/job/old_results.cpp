#include "export/job/old_results.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "core/disk/durable_file.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

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

Result<void> remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) return fail(Code::kIo, fmt::format("removing {}: {}", path.string(), error.message()));
  return {};
}

}  // namespace

bool is_result_name(const std::string& name) {
  return is_cell_name(name) || is_chunk_name(name) || is_shard_name(name);
}

Result<void> remove_old_results(const std::string& out) {
  std::error_code error;
  if (!fs::is_directory(out, error)) return {};
  if (fs::exists(out + "/manifest.json", error)) {
    TRY(remove_file(out + "/manifest.json"));
    TRY(sync_folder(out));
  }
  for (const char* name : {"info", "spec.json", "rejects.csv", "report.json"})
    TRY(remove_file(out + "/" + name));
  auto at = fs::recursive_directory_iterator(out, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code unknown;
    if (at->is_directory(unknown)) {
      if (at->path().filename() == ".spillway") at.disable_recursion_pending();
    } else if (at.depth() > 0 && is_result_name(at->path().filename().string())) {
      TRY(remove_file(at->path()));
    }
  }
  if (error) return fail(Code::kIo, fmt::format("clearing {}: {}", out, error.message()));
  return {};
}

}  // namespace spillway::exporter
