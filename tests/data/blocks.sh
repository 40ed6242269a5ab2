# Makes small blocks streams and info files without anything but a shell: `. blocks.sh`.

# 4 bytes, little-endian
le4() { printf "\\x$(printf %02x $(($1 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 24 & 255)))"; }

# block X Y Z LABEL: a record with a block of one label
block() { le4 "$1"; le4 "$2"; le4 "$3"; le4 24; solid "$4"; }
solid() { le4 8; le4 8; le4 8; le4 1; le4 "$1"; le4 0; }

# record X Y Z: a record of what comes on stdin
record() { cat >"${TMP:?}/.payload"; le4 "$1"; le4 "$2"; le4 "$3"; le4 "$(stat -c %s "$TMP/.payload")"; cat "$TMP/.payload"; }

# info SX SY SZ [HASH]: shards of 2 x 2 x 2 blocks
info() {
  cat <<JSON
{"@type": "neuroglancer_multiscale_volume", "type": "segmentation", "data_type": "uint64", "num_channels": 1, "scales": [{
 "key": "8_8_8", "size": [$1, $2, $3], "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0], "chunk_sizes": [[64, 64, 64]],
 "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8],
 "sharding": {"@type": "neuroglancer_uint64_sharded_v1", "hash": "${4:-identity}", "preshift_bits": 1, "minishard_bits": 2,
  "shard_bits": 9, "minishard_index_encoding": "gzip", "data_encoding": "gzip"}}]}
JSON
}
