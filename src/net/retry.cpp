#include "net/retry.hpp"

#include <algorithm>

namespace spillway::net {

using std::chrono::milliseconds;

Again again(const Request& request, const Outcome& outcome) {
  using Ending = Outcome::Ending;
  const Again repeats =
      request.may_repeat && request.method != Method::kPost ? Again::kYes : Again::kNo;
  switch (outcome.ending) {
    case Ending::kUnreachable:
      return Again::kYes;
    case Ending::kHandshake:
      return Again::kFew;
    case Ending::kBroken:
    case Ending::kSilent:
      return repeats;
    case Ending::kReply:
      break;
    default:
      return Again::kNo;
  }
  switch (outcome.head.status) {
    case 429:
    case 503:
      return Again::kYes;
    case 408:
    case 500:
    case 502:
    case 504:
      return repeats;
    default:
      return Again::kNo;
  }
}

std::optional<milliseconds> BackOff::next(const Request& request, const Outcome& outcome) {
  constexpr unsigned kFew = 3;
  constexpr milliseconds kMostAsked{120'000};
  ++tries_;
  const Again class_of = again(request, outcome);
  const unsigned most = class_of == Again::kYes   ? options_.tries
                        : class_of == Again::kFew ? std::min(kFew, options_.tries)
                                                  : 0;
  const milliseconds asked = outcome.head.retry_after.value_or(milliseconds(0));
  if (tries_ >= most || asked > kMostAsked) return std::nullopt;
  const milliseconds half = wait_ / 2;
  const milliseconds wait = half + milliseconds(std::uniform_int_distribution<int64_t>(
                                       0, (wait_ - half).count())(chance_));
  wait_ = std::min(wait_ * 2, options_.longest_wait);
  // Those who were told the same moment are spread, too.
  return asked > wait ? asked + wait / 4 : wait;
}

}  // namespace spillway::net
