#include "tests/sim/log_tail.h"

#include <vector>

#include "actors/log/segment_format.h"
#include "runtime/text.h"
#include "tests/sim/sim_disk.h"

namespace sandstore {

namespace {

struct Block {
    size_t offset;
    BlockHeader header;
};

std::vector<Block> blocks_of(const std::string& segment) {
    std::vector<Block> blocks;
    SegmentHeader header;
    uint32_t version = 0;
    const std::string_view bytes = segment;
    const std::string_view head = bytes.substr(0, kSegmentHeaderBytes);
    if (decode_segment_header(head, &header, &version) != HeaderCheck::kValid) return blocks;
    size_t offset = kSegmentHeaderBytes;
    while (offset + kBlockHeaderBytes <= segment.size()) {
        const auto block = decode_block_header(bytes.substr(offset, kBlockHeaderBytes));
        if (!block || block->salt != header.salt || block->is_seal) break;
        if (!blocks.empty() && block->sequence != blocks.back().header.sequence + 1) break;
        blocks.push_back({offset, *block});
        offset += block->block_bytes();
    }
    return blocks;
}

bool only_appends(const Block& block, const Block& before) {
    const BlockHeader& header = block.header;
    return !header.has_hard_state && !header.has_restart && header.record_count > 0 && before.header.record_count > 0 &&
           header.first_index == before.header.first_index + before.header.record_count;
}

}  // namespace

LogTail last_blocks_of(const SimDisk& disk, uint64_t most) {
    std::string last;
    for (const std::string& name : disk.files()) {
        if (!name.starts_with("log/")) continue;
        const std::optional<LogFileName> parsed = parse_file_name(std::string_view(name).substr(4));
        if (parsed && !parsed->spare) last = name;
    }
    const std::string segment = disk.contents(last);
    if (segment.size() < kSegmentHeaderBytes) return {};
    const std::vector<Block> blocks = blocks_of(segment);
    size_t first = blocks.size();
    while (first > 1 && blocks.size() - first < most && only_appends(blocks[first - 1], blocks[first - 2])) first--;
    if (first == blocks.size()) return {};
    LogTail tail{last, segment, blocks[first].header.first_index};
    tail.last_offset = blocks.back().offset;
    tail.last_bytes = kBlockHeaderBytes + blocks.back().header.body_bytes;
    const size_t end = tail.last_offset + blocks.back().header.block_bytes();
    const auto seal = decode_block_header(std::string_view(segment).substr(std::min(end, segment.size())));
    tail.sealed = seal && seal->is_seal && seal->sequence == blocks.back().header.sequence + 1;
    const size_t from = blocks[first].offset;
    tail.without.replace(from, std::string::npos, tail.without.size() - from, '\0');
    return tail;
}

}  // namespace sandstore
