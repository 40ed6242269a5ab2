// A count of bytes, so that a size is never taken for a count of something else.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway {

class Bytes {
 public:
  constexpr Bytes() = default;
  constexpr explicit Bytes(uint64_t count) : count_(count) {}
  constexpr uint64_t count() const { return count_; }

  friend constexpr auto operator<=>(Bytes, Bytes) = default;
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return Bytes(a.count_ + b.count_); }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return Bytes(a.count_ - b.count_); }
  friend constexpr Bytes operator*(Bytes a, uint64_t n) { return Bytes(a.count_ * n); }
  friend constexpr Bytes operator*(uint64_t n, Bytes a) { return a * n; }
  friend constexpr Bytes operator/(Bytes a, uint64_t n) { return Bytes(a.count_ / n); }
  friend constexpr uint64_t operator/(Bytes a, Bytes b) { return a.count_ / b.count_; }
  constexpr Bytes& operator+=(Bytes b) {
    count_ += b.count_;
    return *this;
  }
  constexpr Bytes& operator-=(Bytes b) {
    count_ -= b.count_;
    return *this;
  }

 private:
  uint64_t count_ = 0;
};

namespace literals {
constexpr Bytes operator""_B(unsigned long long n) { return Bytes(n); }
constexpr Bytes operator""_KiB(unsigned long long n) { return Bytes(n << 10); }
constexpr Bytes operator""_MiB(unsigned long long n) { return Bytes(n << 20); }
constexpr Bytes operator""_GiB(unsigned long long n) { return Bytes(n << 30); }
}  // namespace literals
using namespace literals;  // NOLINT: sizes are written everywhere

// "512MiB", "4GiB", "1.5GiB", "64K", "1000" (bytes), "2GB" (decimal). Fails with kUsage and says
// what is accepted.
[[nodiscard]] Result<Bytes> parse_bytes(std::string_view text);

// "64 MiB", "1.2 GiB", "512 B": one decimal at most, binary units.
std::string to_string(Bytes bytes);

// A count as people read it: 1234567 is "1,234,567".
std::string grouped(uint64_t count);

}  // namespace spillway
