// A blocked Bloom filter over uniform 64-bit hashes: "certainly not" in one cache line, else
// "maybe".
//
// It saves a look on disk and never decides: whoever gets a maybe must look.
//
// Memory   10 bits a key, in the caller's buffer (bytes() of it, zeroed).
// Cost     One cache miss a look; about 1 % of the absent keys get a maybe.
// Threads  add(): one. maybe(): any number, after the last add().
// Source   Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters" (2007).
#pragma once

#include <cstdint>
#include <span>

#include "core/bytes.hpp"

namespace spillway {

class BloomFilter {
 public:
  static Bytes bytes(uint64_t keys) { return Bytes(lines(keys) * kLineBits / 8); }
  BloomFilter(std::span<uint64_t> words, uint64_t keys)
      : words_(words.data()), lines_(lines(keys)) {
    CHECK(words.size() * 64 >= lines_ * kLineBits);
  }

  // `place` chooses the line, `hash` the bits within; independent of each other.
  void add(uint64_t place, uint64_t hash) {
    uint64_t* const line = line_of(place);
    for (unsigned i = 0; i < kProbes; ++i) line[bit(hash, i) / 64] |= mask(hash, i);
  }
  bool maybe(uint64_t place, uint64_t hash) const {
    const uint64_t* const line = line_of(place);
    bool all = true;
    for (unsigned i = 0; i < kProbes; ++i) all &= (line[bit(hash, i) / 64] & mask(hash, i)) != 0;
    return all;
  }

 private:
  static constexpr uint64_t kLineBits = 512;
  static constexpr uint64_t kBitsPerKey = 10;
  static constexpr unsigned kProbes = 6;

  static uint64_t lines(uint64_t keys) { return keys * kBitsPerKey / kLineBits + 1; }
  static uint64_t bit(uint64_t hash, unsigned i) { return (hash >> (9 * i)) % kLineBits; }
  static uint64_t mask(uint64_t hash, unsigned i) { return uint64_t{1} << (bit(hash, i) % 64); }
  uint64_t* line_of(uint64_t place) const {
    __extension__ typedef unsigned __int128 Wide;
    return words_ +
           static_cast<uint64_t>((static_cast<Wide>(place) * lines_) >> 64) * (kLineBits / 64);
  }

  uint64_t* words_;
  uint64_t lines_;
};

}  // namespace spillway
