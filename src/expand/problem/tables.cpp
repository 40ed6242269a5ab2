#include "expand/problem/tables.hpp"

#include <fmt/format.h>
#include <xxhash.h>

namespace spillway::expand {

tl::unexpected<Error> Tally::too_much() const {
  return fail(Code::kMemoryLimit,
              fmt::format("{} needs more than {} for its tables, their part of --memory; raise "
                          "--memory",
                          whose_, to_string(Bytes(limit_))));
}

Result<uint32_t> NameTable::number(std::string_view name, Tally& tally) {
  const auto slot_of = [&](std::string_view wanted) {
    size_t slot = XXH3_64bits(wanted.data(), wanted.size()) % slots_.size();
    while (slots_[slot] != 0 && this->name(slots_[slot] - 1) != wanted)
      slot = (slot + 1) % slots_.size();
    return slot;
  };
  if (ends_.size() * 2 >= slots_.size()) {
    if (ends_.size() >= 0x7FFFFFFF) return fail(Code::kTooLarge, "more than 2^31 different names");
    const size_t slots = std::max<size_t>(64, slots_.size() * 2);
    TRY(tally.grow(slots_, slots));
    slots_.assign(slots, 0);
    for (uint32_t at = 0; at < size(); ++at) slots_[slot_of(this->name(at))] = at + 1;
  }
  const size_t slot = slot_of(name);
  if (slots_[slot] != 0) return slots_[slot] - 1;
  TRY(tally.append(text_, name));
  TRY(tally.push(ends_, uint64_t{text_.size()}));
  slots_[slot] = size();
  return size() - 1;
}

}  // namespace spillway::expand
