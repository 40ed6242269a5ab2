#include "core/job/outputs.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

namespace spillway {
namespace {

namespace fs = std::filesystem;

struct Standing {
  dev_t device;
  ino_t inode;
  mode_t mode;
  friend bool operator==(const Standing& a, const Standing& b) {
    return a.device == b.device && a.inode == b.inode;
  }
};

std::optional<Standing> standing(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return Standing{status.st_dev, status.st_ino, status.st_mode};
}

std::string folder_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<void> check_folder(const OutputName& output) {
  const std::string folder = folder_of(output.path);
  const auto there = standing(folder);
  std::error_code error;
  const bool is_made = !output.made_folder.empty() &&
                       fs::weakly_canonical(folder, error) ==
                           fs::weakly_canonical(output.made_folder + "/.", error).parent_path();
  if (!there && is_made) return {};
  if (!there)
    return fail(Code::kNotFound,
                fmt::format("{} {}: there is no folder {}", output.option, output.path, folder));
  if (!S_ISDIR(there->mode))
    return fail(Code::kUsage,
                fmt::format("{} {}: {} is not a folder", output.option, output.path, folder));
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return fail_errno(fmt::format("{} {}: cannot write in {}", output.option, output.path, folder));
  return {};
}

Result<void> check_output(const OutputName& output, std::span<const std::string> inputs,
                          bool overwrite) {
  TRY(check_folder(output));
  const auto there = standing(output.path);
  if (!there) return {};
  const auto refuse = [&](std::string_view why) {
    return fail(Code::kUsage, fmt::format("{} {}: {}", output.option, output.path, why));
  };
  for (const std::string& input : inputs) {
    if (standing(input) == there)
      return refuse(fmt::format("is the input {}; choose another name", input));
  }
  if (S_ISDIR(there->mode)) return refuse("is a folder; a file is written here");
  if (!S_ISREG(there->mode)) return refuse("is not a regular file");
  if (overwrite || (output.is_own && output.is_own(output.path))) return {};
  return refuse(
      "stands there and is not an earlier result of this job; choose another name, or give "
      "--overwrite");
}

}  // namespace

Result<void> check_outputs(std::span<const OutputName> outputs, std::span<const std::string> inputs,
                           bool overwrite) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].path.empty()) continue;
    TRY(check_output(outputs[i], inputs, overwrite));
    for (size_t k = 0; k < i; ++k) {
      std::error_code error;
      const bool same = fs::weakly_canonical(outputs[i].path, error) ==
                        fs::weakly_canonical(outputs[k].path, error);
      if (!outputs[k].path.empty() && same)
        return fail(Code::kUsage, fmt::format("{} and {} name the same file, {}", outputs[k].option,
                                              outputs[i].option, outputs[i].path));
    }
  }
  return {};
}

bool is_own_report(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::array<char, 256> head{};
  in.read(head.data(), head.size());
  const std::string_view text(head.data(), static_cast<size_t>(in.gcount()));
  return text.find("\"program\": \"spillway ") != std::string_view::npos ||
         text.find("content=\"spillway ") != std::string_view::npos;
}

}  // namespace spillway
