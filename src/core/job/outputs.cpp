#include "core/job/outputs.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"

namespace spillway {
namespace {

// Of two that need not be there yet.
Result<bool> is_same_name(const std::string& a, const std::string& b) {
  if (name_of(a) != name_of(b)) return false;
  const std::string above_a = folder_of(a), above_b = folder_of(b);
  const auto in_a = TRY(look_at(above_a)), in_b = TRY(look_at(above_b));
  if (!in_a && !in_b) return is_same_name(above_a, above_b);
  return in_a && in_b && in_a->is_same_file(*in_b);
}

Result<void> check_folder(const OutputName& output) {
  const std::string folder = folder_of(output.path);
  const auto there = TRY(look_at(folder));
  if (!there && !output.made_folder.empty() && TRY(is_same_name(folder, output.made_folder)))
    return {};
  if (!there)
    return fail(Code::kUsage,
                fmt::format("{} {}: there is no folder {}", output.option, output.path, folder));
  if (!there->is_folder())
    return fail(Code::kUsage,
                fmt::format("{} {}: {} is not a folder", output.option, output.path, folder));
  const auto with_name = [&](Error error) {
    return fail(std::move(error).with(output.option + (" " + output.path)));
  };
  auto writable = check_writable(folder);
  if (!writable) return with_name(std::move(writable).error());
  // What the system only says when it is tried: of file systems that take no files, and of names that
  // are too long with what is behind them while they are written.
  auto tried = File::unnamed(folder);
  if (!tried) return with_name(std::move(tried).error());
  auto looked = look_at(output.path + ".partial");
  if (!looked) return with_name(std::move(looked).error());
  return {};
}

Result<void> check_output(const OutputName& output, const OutputRules& rules) {
  TRY(check_folder(output));
  const auto refuse = [&](std::string_view why) {
    return fail(Code::kUsage, fmt::format("{} {}: {}", output.option, output.path, why));
  };
  for (const std::string& own : rules.own) {
    if (TRY(is_same_name(output.path, own)) || TRY(is_within(output.path, own)))
      return refuse(fmt::format("this run writes {} by itself; choose another name", own));
  }
  const auto there = TRY(look_at(output.path));
  if (!there) return {};
  for (const std::string& input : rules.inputs) {
    const auto read = TRY(look_at(input));
    if (read && read->is_same_file(*there))
      return refuse(fmt::format("is the input {}; choose another name", input));
  }
  if (there->is_folder()) return refuse("is a folder; a file is written here");
  if (!there->is_file()) return refuse("is not a regular file");
  if (rules.overwrite || (output.is_own && output.is_own(output.path))) return {};
  return refuse(
      "stands there and is not an earlier result of this job; choose another name, or give "
      "--overwrite");
}

}  // namespace

Result<void> check_outputs(std::span<const OutputName> outputs, const OutputRules& rules) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].path.empty()) continue;
    TRY(check_output(outputs[i], rules));
    for (size_t k = 0; k < i; ++k) {
      if (!outputs[k].path.empty() && TRY(is_same_name(outputs[i].path, outputs[k].path)))
        return fail(Code::kUsage, fmt::format("{} and {} name the same file, {}", outputs[k].option,
                                              outputs[i].option, outputs[i].path));
    }
  }
  return {};
}

Result<StandingFile> StandingFile::look(std::string path) {
  StandingFile standing;
  if (!path.empty()) standing.before_ = TRY(look_at(path));
  standing.path_ = std::move(path);
  return standing;
}

Result<void> StandingFile::must_be_as_it_was() const {
  if (path_.empty()) return {};
  const auto now = TRY(look_at(path_));
  const bool same = now && before_ && must_be_unchanged(path_, *before_).has_value();
  if (!now || same) return {};
  return fail(Code::kConflict,
              path_ +
                  ": was written by somebody else while this run worked, and is not replaced; "
                  "move it away and give the same command again");
}

bool is_own_report(const std::string& path) {
  std::array<uint8_t, 256> head{};
  const auto file = File::open(path);
  const size_t got = file ? file->read_some_at(0, head).value_or(0) : 0;
  const std::string_view text(reinterpret_cast<const char*>(head.data()), got);
  return text.find("\"program\": \"spillway ") != std::string_view::npos ||
         text.find("content=\"spillway ") != std::string_view::npos;
}

}  // namespace spillway
