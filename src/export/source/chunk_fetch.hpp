// The chunks of a volume that answers late, from several connections at once.
//
// A ChunkReader each for a part of the chunks, with a thread and a connection of its own; the first
// chunk of each is read ahead while the others are taken.
//
// Order    A chunk of each part in turn: the same every time for the same number of parts.
// Memory   room() a part: the first part from `account`, further ones from `more` while that lends.
// Threads  next(): one. One more a part.
// Fails    As ChunkReader does. After a failure there is nothing more to read.
#pragma once

#include <memory>
#include <string>

#include "core/memory/budget.hpp"
#include "export/source/chunk_reader.hpp"

namespace spillway::exporter {

constexpr unsigned kMostChunkFetches = 8;

Bytes chunk_fetch_room(const VolumeSpec& source, const Scale& scale);
// `source` and `scale` outlive what is returned.
[[nodiscard]] Result<std::unique_ptr<ChunkReader>> open_chunk_fetch(const std::string& place,
                                                                    const VolumeSpec& source,
                                                                    const Scale& scale,
                                                                    Account account, Account more);

}  // namespace spillway::exporter
