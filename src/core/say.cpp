#include "core/say.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>

namespace spillway {

void say(std::string_view text, std::chrono::milliseconds patience) {
  while (!text.empty()) {
    // What is no longer than PIPE_BUF goes into a pipe that has room, in one piece.
    pollfd one{STDERR_FILENO, POLLOUT, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(patience.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return;
    const size_t piece = std::min<size_t>(text.size(), PIPE_BUF);
    if (std::fwrite(text.data(), 1, piece, stderr) < piece) return;  // not buffered: in one call
    text.remove_prefix(piece);
  }
}

}  // namespace spillway
