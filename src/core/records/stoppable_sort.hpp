// std::sort that ends when it is asked to: a sort of gigabytes takes many seconds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stop_token>

namespace spillway {

// Whether it came to its end. After a stop the elements are in no order and some may be lost.
template <class Iterator, class Less>
[[nodiscard]] bool sort_unless_stopped(Iterator first, Iterator last, const std::stop_token& stop,
                                       Less&& less) {
  struct Stopped {};
  uint32_t compared = 0;
  try {
    std::sort(first, last, [&](const auto& a, const auto& b) {
      if ((++compared & 0xffff) == 0 && stop.stop_requested()) throw Stopped();
      return less(a, b);
    });
  } catch (const Stopped&) {
    return false;
  }
  return true;
}

}  // namespace spillway
