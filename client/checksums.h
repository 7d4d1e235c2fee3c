// The checksums that travel with a chunk.
#pragma once

#include "messages/chunk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

// CRC32C of each 64 KiB block; the last may be short. None for no bytes.
pb::ChunkChecksums chunk_checksums(const Payload& bytes);

}  // namespace sandstore
