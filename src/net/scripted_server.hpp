// For tests: answers requests from a script, over a socket of the file system in place of a network.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/mutex.hpp"
#include "core/test_folder.hpp"
#include "net/engine.hpp"

namespace spillway::net {

struct Answer {
  enum class Then { kGoOn, kClose, kSilence };  // kSilence: until the client gives up
  std::string bytes;
  Then then = Then::kGoOn;
};

inline std::string reply(const std::string& status, const std::string& body = "",
                         const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class ScriptedServer {
 public:
  // The n-th request gets the n-th answer; the last one is for all behind it.
  enum class Greeting { kNone, kClose };  // kClose: hangs up at the first bytes, whatever they are
  explicit ScriptedServer(std::vector<Answer> answers, Greeting greeting = Greeting::kNone)
      : answers_(std::move(answers)), greeting_(greeting) {
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    path().copy(place.sun_path, sizeof place.sun_path - 1);
    CHECK(::bind(listening_, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0);
    CHECK(::listen(listening_, 16) == 0);
    accepting_ = std::thread([this] { accept(); });
  }
  ~ScriptedServer() {
    ::shutdown(listening_, SHUT_RDWR);
    accepting_.join();
    ::close(listening_);
    {
      MutexLock lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }

  // Waits are noted and not waited for.
  HttpOptions options() {
    HttpOptions options;
    options.first_wait = std::chrono::milliseconds(100);
    options.stall_timeout = std::chrono::milliseconds(5'000);
    options.unix_socket = path();
    options.wait = [this](std::chrono::milliseconds time) {
      MutexLock lock(mutex_);
      waits_.push_back(time);
      return true;
    };
    return options;
  }
  std::vector<std::string> requests() {
    MutexLock lock(mutex_);
    return requests_;
  }
  std::vector<std::chrono::milliseconds> waits() {
    MutexLock lock(mutex_);
    return waits_;
  }
  size_t most_connections() const { return most_; }

 private:
  std::string path() const { return folder_.path() + "/socket"; }

  void accept() {
    while (true) {
      const int fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      MutexLock lock(mutex_);
      open_.push_back(fd);
      most_ = std::max(most_.load(), open_.size());
      threads_.emplace_back([this, fd] {
        serve(fd);
        MutexLock closing(mutex_);
        std::erase(open_, fd);
        ::close(fd);
      });
    }
  }

  static bool receive(int fd, std::string& into) {
    char bytes[65536];
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    into.append(bytes, static_cast<size_t>(got));
    return true;
  }
  static bool send(int fd, const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t sent = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<size_t>(sent);
    }
    return true;
  }

  void serve(int fd) {
    std::string held;
    if (greeting_ == Greeting::kClose) {
      (void)receive(fd, held);
      return;
    }
    while (true) {
      size_t head = 0;
      while ((head = held.find("\r\n\r\n")) == std::string::npos) {
        if (!receive(fd, held)) return;
      }
      head += 4;
      if (held.find("Expect: 100-continue") < head && !send(fd, "HTTP/1.1 100 Continue\r\n\r\n"))
        return;
      const size_t length = held.find("Content-Length: ");
      const size_t body = length < head ? std::strtoul(held.c_str() + length + 16, nullptr, 10) : 0;
      while (held.size() < head + body) {
        if (!receive(fd, held)) return;
      }
      Answer answer;
      {
        MutexLock lock(mutex_);
        answer = answers_[std::min(requests_.size(), answers_.size() - 1)];
        requests_.push_back(held.substr(0, head + body));
      }
      held.erase(0, head + body);
      if (!send(fd, answer.bytes) || answer.then == Answer::Then::kClose) return;
      if (answer.then == Answer::Then::kSilence) {
        while (receive(fd, held)) {
        }
        return;
      }
    }
  }

  const TestFolder folder_;
  const std::vector<Answer> answers_;
  const Greeting greeting_;
  int listening_ = -1;
  std::thread accepting_;
  Mutex mutex_;
  std::vector<std::string> requests_ GUARDED_BY(mutex_);
  std::vector<std::chrono::milliseconds> waits_ GUARDED_BY(mutex_);
  std::vector<int> open_ GUARDED_BY(mutex_);
  std::atomic<size_t> most_{0};
  std::vector<std::thread> threads_;  // accepting_ adds
};

}  // namespace spillway::net
