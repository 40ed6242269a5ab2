// The agglomeration: which body each supervoxel belongs to. Ids that are not in it stay as they are.
//
// Reads a file, a pipe, stdin or an http(s) address. Text: two numbers a line, white space or comma
// between, # comments, a UTF-8 byte order mark and a first line of the names supervoxel, body; binary
// pairs of u64 or u32 (little-endian); Parquet (columns supervoxel, body, of 32 or 64 bits). gzip is
// seen by its content. The same pair twice is fine, one id with two targets is an error, 0 stays 0.
// What can be read once only is copied to scratch.
//
// Memory   What is kept is a hash table of 16 B a slot, 3 slots a pair at most, when `table` lends
//          that and, while it grows, half as much again; else pairs are sorted on scratch and what is
//          kept is such a table made at once, or a sorted file on scratch, searched by pages of 4
//          KiB that the page cache holds, with 8 bytes a page of index.
// Threads  load: one. map(): any, side by side.
// Cost     Loading: 0.1 us a pair into a table, 0.3 us when sorted. A table lookup is one cache miss,
//          overlapped within a call; a search about 1 us.
// Fails    load: kInvalid with the line or pair; kConflict when the file is changed meanwhile;
//          kNotFound, kIo, kScratchFull, kMemoryLimit.
//          status: kIo, kCorrupt, once a search could not read scratch: ids mapped since then may
//          be wrong, and nothing made of them may be kept.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "export/spec/input_stream.hpp"

namespace spillway::exporter {

enum class MappingFormat { kAuto, kBinary, kBinary32 };

struct Pair {
  uint64_t id, body;
};
// The pairs of text or binary, in its order, without those of id 0.
[[nodiscard]] Result<void> read_pairs(ByteStream& source, MappingFormat format,
                                      const std::function<Result<void>(Pair)>& take,
                                      const std::stop_token& stop);

// Of what a mapping is read from: what Mapping::sha256() will be. kUsage for a pipe, which would be
// used up.
[[nodiscard]] Result<std::string> sha256_of_input(const std::string& path,
                                                  const std::stop_token& stop = {});

class Mapping {
 public:
  struct Options {
    std::string path;  // empty: identity
    MappingFormat format = MappingFormat::kAuto;
    Account sort;   // floor: sort_floor()
    Account table;  // for what is kept, up to most_table_bytes
    std::shared_ptr<ScratchSpace> space;
    uint64_t most_table_bytes = uint64_t{1} << 40;
  };
  static Bytes sort_floor();
  [[nodiscard]] static Result<std::unique_ptr<Mapping>> load(const Options& options,
                                                             std::stop_token stop);
  virtual ~Mapping() = default;

  // out[i] = body of ids[i]; both may be the same memory, unaligned. True when any is not 0.
  virtual bool map(const uint8_t* ids, size_t count, uint8_t* out) const = 0;
  // To be asked after map(), before anything of it is made final. Any thread.
  [[nodiscard]] virtual Result<void> status() const { return {}; }

  virtual uint64_t pairs() const = 0;             // different ids
  virtual bool is_in_memory() const = 0;          // a table rather than a search
  virtual const std::string& sha256() const = 0;  // of the file's bytes; empty for identity
};

}  // namespace spillway::exporter
