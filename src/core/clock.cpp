#include "core/clock.hpp"

namespace spillway {
namespace {
class SteadyClock final : public Clock {
 public:
  Time now() const override { return std::chrono::steady_clock::now(); }
};
}  // namespace

const Clock& Clock::real() {
  static const SteadyClock clock;
  return clock;
}

}  // namespace spillway
