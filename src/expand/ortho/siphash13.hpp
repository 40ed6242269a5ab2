// SipHash-1-3 with key (0, 0), fed 64-bit words: the public id of an ortho.
//
// Only whole words can be hashed (as 8 little-endian bytes each), which is all that ids need;
// finish() is the hash of the words so far. The function: J.-P. Aumasson, D. J. Bernstein,
// "SipHash: a fast short-input PRF" (2012), with one compression and three finalization rounds. Why
// it is here and not from a library: docs/decisions/007-ortho-siphash.md.
//
// Cost     About 2 ns a word. No allocation.
#pragma once

#include <bit>
#include <cstdint>

namespace spillway::expand {

class SipHash13 {
 public:
  void add(uint64_t word) {
    v3_ ^= word;
    round();
    v0_ ^= word;
    bytes_ += 8;
  }
  uint64_t finish() const {
    SipHash13 last = *this;
    const uint64_t tail = (bytes_ & 0xff) << 56;
    last.v3_ ^= tail;
    last.round();
    last.v0_ ^= tail;
    last.v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i) last.round();
    return last.v0_ ^ last.v1_ ^ last.v2_ ^ last.v3_;
  }

 private:
  void round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32) + v3_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_ = 0x736f6d6570736575;  // "somepseudorandomlygeneratedbytes"
  uint64_t v1_ = 0x646f72616e646f6d;
  uint64_t v2_ = 0x6c7967656e657261;
  uint64_t v3_ = 0x7465646279746573;
  uint64_t bytes_ = 0;
};

}  // namespace spillway::expand
