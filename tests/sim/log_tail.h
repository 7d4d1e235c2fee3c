// The end of a node's log, as it lies on its disk: for faults that take it away.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sandstore {

class SimDisk;

struct LogTail {
    std::string file;
    std::string without;  // The file, with zeros from the first of the blocks on.
    uint64_t first_index = 0;
};

// At most `most` of the last blocks, of the last segment alone; only such that append entries and do nothing else.
std::optional<LogTail> last_blocks_of(const SimDisk& disk, uint64_t most);

}  // namespace sandstore
