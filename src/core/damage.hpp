// For tests: does every harm to a file that a disk can do, one after the other.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace spillway {

inline void overwrite(const std::string& path, const std::vector<uint8_t>& content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  ASSERT_GE(fd, 0) << path;
  ASSERT_EQ(::write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  ::close(fd);
}

inline std::vector<uint8_t> content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Calls `read` with the file cut short at every byte, then with one bit of every byte flipped (`step`
// bytes apart). `read` gives whether what it read was right, or the error. It has to be kCorrupt, or
// right (a bit that nothing depends on): never wrong. Returns how many harms were noticed.
template <class Read>
size_t damage(const std::string& path, Read&& read, size_t step = 1) {
  const std::vector<uint8_t> whole = content_of(path);
  size_t noticed = 0;
  const auto check = [&](const std::string& what) {
    const Result<bool> outcome = read();
    if (outcome) {
      EXPECT_TRUE(*outcome) << what << ": wrong data, unnoticed";
    } else {
      EXPECT_EQ(outcome.error().code(), Code::kCorrupt)
          << what << ": " << outcome.error().message();
      ++noticed;
    }
  };
  for (size_t length = 0; length < whole.size(); length += step) {
    overwrite(path, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)});
    check(path + " cut at " + std::to_string(length));
    if (::testing::Test::HasFailure()) break;
  }
  for (size_t at = 0; at < whole.size(); at += step) {
    std::vector<uint8_t> flipped = whole;
    flipped[at] = static_cast<uint8_t>(flipped[at] ^ (1u << (at / step % 8)));
    overwrite(path, flipped);
    check(path + " with a bit flipped at " + std::to_string(at));
    if (::testing::Test::HasFailure()) break;
  }
  overwrite(path, whole);
  const Result<bool> healed = read();
  EXPECT_TRUE(healed && *healed) << "the undamaged file";
  return noticed;
}

}  // namespace spillway
