// neuroglancer precomputed volumes as blocks: raw or compressed_segmentation, sharded or not, from a
// folder or over http(s). Missing chunks are missing blocks, which is 0.
//
// Order    That of the chunks (chunk_reader.hpp, over http chunk_fetch.hpp); ZYX where chunks are cut
//          and joined.
// Memory   Chunks of 64^3: as they are, in units of 512 KiB or one chunk; the workers decode them.
//          Chunks whose sides are multiples of 64: a chunk of voxels at a time, cut. Others: cut
//          into pieces of at most 128 KiB that are sorted on scratch by block and joined. What
//          that needs is leased from the account: precomputed_floor(). Over http further requests
//          side by side have memory of their own, `more`: precomputed_wish() is of use.
// Threads  One; over http one more a request.
// Fails    kUsage: an info that is not of labels, no such scale. kInvalid: with the file and chunk.
#pragma once

#include <memory>
#include <string>

#include "core/disk/scratch.hpp"
#include "export/source/block_source.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// "precomputed://PLACE" or a folder with an info: the folder or address in it. none: no such thing.
std::optional<std::string> precomputed_place(const std::string& source);
[[nodiscard]] Result<VolumeSpec> read_precomputed_info(const std::string& place,
                                                       const std::stop_token& stop);

// The source's scale that is the same box at the same resolution; none when there is none.
std::optional<size_t> matching_scale(const VolumeSpec& source, const Scale& wanted);

// What any scale of the source needs.
Bytes precomputed_floor(const std::string& place, const VolumeSpec& source);
Bytes precomputed_wish(const std::string& place, const VolumeSpec& source);  // 0 for a folder
// `grid`: of `wanted`, which must have a match. kUsage when it has not, telling what there is.
// `source` outlives what is returned. Chunks that are missing are counted, or kNotFound with
// Missing::kError.
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_precomputed(
    const std::string& place, const VolumeSpec& source, const Scale& wanted, const Grid& grid,
    Missing missing, Account account, Account more, std::shared_ptr<ScratchSpace> space);

}  // namespace spillway::exporter
