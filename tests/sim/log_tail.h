// The end of a node's log, as it lies on its disk: for faults that take it away.
#pragma once

#include <cstdint>
#include <string>

namespace sandstore {

class SimDisk;

struct LogTail {
    std::string file;
    std::string without;  // The file, with zeros from the first of the blocks on.
    uint64_t first_index = 0;
    size_t last_offset = 0;  // In the file, of the newest block,
    size_t last_bytes = 0;   // and how many of its bytes its checksums cover.
    bool sealed = false;     // A seal behind it says that it had been synced.
};

// At most `most` of the last blocks, of the last segment alone; only such that append entries and do nothing
// else. No file: there are none.
LogTail last_blocks_of(const SimDisk& disk, uint64_t most);

}  // namespace sandstore
