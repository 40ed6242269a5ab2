// The connections: one curl multi handle and one thread for all requests of the process.
//
// An exchange is one request sent once and its reply, streamed to a sink. Who asks waits on his own
// thread, or goes on and is told by the sink. Connections are kept and shared; at most
// Options::connections stand at once, what is beyond them waits.
//
// Memory   About 200 KiB a connection, 1 MiB with TLS, while it is in use or kept; who asks for many
//          at once leases that. A reply's head is at most 64 KiB, else the exchange fails.
// Threads  Any; sinks and bodies are called by the engine's own.
// Cost     Two changes of thread an exchange.
// Fails    Outcome::ending says how; nothing is tried again here.
// Source   libcurl's multi interface.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "core/result.hpp"
#include "net/body.hpp"
#include "net/message.hpp"

namespace spillway::net {

struct HttpOptions {
  std::chrono::milliseconds connect_timeout{20'000};
  std::chrono::milliseconds stall_timeout{60'000};  // without a byte either way
  unsigned tries = 6;
  std::chrono::milliseconds first_wait{500}, longest_wait{30'000};
  std::string unix_socket;  // where to connect to in place of the address's host
  std::function<bool(std::chrono::milliseconds)> wait;  // between tries, for tests; false: stopped
};

struct Outcome {
  enum class Ending {
    kReply,        // whole, whatever its status
    kUnreachable,  // no connection: the request was not sent
    kHandshake,    // TLS did not come about
    kBroken,       // reset, cut, or no reply
    kSilent,       // a timeout
    kEndless,      // a body whose end could not be seen
    kLocal,        // the sink or the request's body failed: `local`
    kStopped,
    kFailed,  // anything else that another try would not change: a certificate, a broken reply
  };
  Ending ending = Ending::kFailed;
  ReplyHead head;           // as far as it came
  std::string reason;       // of all but kReply: printable
  std::string explanation;  // what the server said with an error; raw, at most 4 KiB
  std::optional<Error> local;
};

// One request on its way. Its destruction takes it back.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void resume() = 0;                           // after take() said: not now
  virtual bool wait(const std::stop_token& stop) = 0;  // until it is over; false: stopped
  virtual Outcome& outcome() = 0;                      // when it is over
};

class Engine {
 public:
  struct Options {
    unsigned connections = 64;
  };
  [[nodiscard]] static std::shared_ptr<Engine> create(Options options);
  // The process's, while somebody holds it.
  [[nodiscard]] static std::shared_ptr<Engine> shared();
  virtual ~Engine() = default;

  // `request`, its body, `sink` (none: what comes is dropped) and `options` outlive the exchange.
  [[nodiscard]] virtual std::unique_ptr<Exchange> begin(const Request& request, ReplySink* sink,
                                                        const HttpOptions& options) = 0;
};

}  // namespace spillway::net
