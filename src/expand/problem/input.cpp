#include "expand/problem/input.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace spillway::expand {
namespace {

constexpr size_t kPiece = size_t{64} << 10;

class Opened {
 public:
  explicit Opened(int fd) : fd_(fd) {}
  ~Opened() {
    if (fd_ >= 0) ::close(fd_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Until there is something to read, or the end: a pipe that nobody has opened yet has neither.
Result<void> wait_readable(int fd, const std::string& path, const std::stop_token& stop) {
  while (true) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + path);
    pollfd one{fd, POLLIN, 0};
    const int ready = ::poll(&one, 1, 100);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_errno("reading " + path);
  }
}

}  // namespace

Result<void> read_input(const std::string& path, std::stop_token stop,
                        const std::function<Result<void>(std::span<const uint8_t>)>& take) {
  const Opened file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) return fail_errno("opening " + path);
  std::array<uint8_t, kPiece> piece;
  size_t held = 0;  // of the first two bytes, which tell what it is
  bool told = false;
  while (true) {
    TRY(wait_readable(file.fd(), path, stop));
    const ssize_t got = ::read(file.fd(), piece.data() + held, piece.size() - held);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return fail_errno("reading " + path);
    held += static_cast<size_t>(got);
    if (!told && held < 2 && got > 0) continue;
    if (!told && held >= 2 && piece[0] == 0x1F && piece[1] == 0x8B) {
      return fail(Code::kInvalid,
                  fmt::format("{}: is gzip data; unpack it: <(gzip -dc {})", path, path));
    }
    told = true;
    if (held > 0) TRY(take(std::span(piece).first(held)));
    if (got == 0) return {};
    held = 0;
  }
}

}  // namespace spillway::expand
