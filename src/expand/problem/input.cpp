#include "expand/problem/input.hpp"

#include <fmt/format.h>

#include <array>

#include "core/file/file.hpp"

namespace spillway::expand {

Result<void> read_input(const std::string& path, std::stop_token stop,
                        const std::function<Result<void>(std::span<const uint8_t>)>& take) {
  File file = TRY(File::open(path));
  if (TRY(file.info()).is_folder()) return fail(Code::kInvalid, path + ": is a folder, not a file");
  std::array<uint8_t, size_t{64} << 10> piece;
  bool told = false;
  while (const size_t got = TRY(file.read(piece, stop))) {
    if (!told && got >= 2 && piece[0] == 0x1F && piece[1] == 0x8B) {
      return fail(Code::kInvalid,
                  fmt::format("{}: is gzip data; unpack it: <(gzip -dc {})", path, path));
    }
    told = true;
    TRY(take(std::span(piece).first(got)));
  }
  return {};
}

}  // namespace spillway::expand
