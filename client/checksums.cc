#include "client/checksums.h"

#include "actors/chunk/chunk_file.h"

namespace sandstore {

pb::ChunkChecksums chunk_checksums(const Payload& bytes) {
    pb::ChunkChecksums checksums;
    for (const uint32_t crc : block_checksums(bytes)) checksums.add_block_crc32c(crc);
    return checksums;
}

}  // namespace sandstore
