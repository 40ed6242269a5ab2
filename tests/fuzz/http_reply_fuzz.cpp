// Any bytes that a server sends are a reply, of which no more is taken than there is room for, or an error on one line.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include "core/test_folder.hpp"
#include "fuzz.hpp"
#include "net/objects.hpp"

using namespace spillway;
using namespace spillway::net;

namespace {

// Sends the same bytes to whoever connects.
class Server {
 public:
  Server() {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    path().copy(place.sun_path, sizeof place.sun_path - 1);
    MUST(::bind(listening_, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0);
    MUST(::listen(listening_, 4) == 0);
    std::thread([this] { serve(); }).detach();  // as long as the process
  }
  std::string path() const { return folder_.path() + "/socket"; }
  void set(std::span<const uint8_t> bytes) {
    const std::lock_guard lock(mutex_);
    bytes_.assign(bytes.begin(), bytes.end());
  }

 private:
  void serve() {
    while (true) {
      const int fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      MUST(fd >= 0);
      char request[4096];
      if (::recv(fd, request, sizeof request, 0) > 0) {
        const std::lock_guard lock(mutex_);
        (void)!::send(fd, bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
      }
      ::close(fd);
    }
  }
  const TestFolder folder_;
  const int listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::mutex mutex_;
  std::vector<uint8_t> bytes_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Server& server = *new Server;
  static const Objects objects(
      HttpClient({.tries = 1, .unix_socket = server.path()}, Engine::create({.connections = 1})));
  server.set({data, std::min<size_t>(size, 100'000)});
  std::vector<uint8_t> room(64);
  const auto range = objects.get_range("http://host/a", 4, room, {});
  if (range && *range) MUST((*range)->bytes <= room.size());
  const auto whole = objects.get("http://host/a", room, {}, "\"etag\"");
  if (whole && *whole) MUST((*whole)->bytes <= room.size());
  for (const auto* const got : {&range, &whole}) {
    if (*got) continue;
    const std::string& said = got->error().message();
    MUST(!said.empty() && std::none_of(said.begin(), said.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    }));
  }
  return 0;
}
