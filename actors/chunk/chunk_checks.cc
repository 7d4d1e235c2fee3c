#include "actors/chunk/chunk_checks.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "runtime/disk_error.h"
#include "runtime/text.h"

namespace sandstore {

pb::Status status_of(pb::StatusCode code, std::string message) {
    pb::Status status;
    status.set_code(code);
    status.set_message(std::move(message));
    return status;
}

bool is_ok(const pb::Status& status) {
    return status.code() == pb::STATUS_OK;
}

std::string code_name(pb::StatusCode code) {
    constexpr std::string_view kPrefix = "STATUS_";
    std::string name = pb::StatusCode_Name(code);
    if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
    return name.empty() ? str_cat("status ", static_cast<int>(code)) : name;
}

bool is_node_id(std::string_view text) {
    if (text.empty() || text.size() > kNodeIdBytesMax) return false;
    return std::all_of(text.begin(), text.end(), [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
               (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' || letter == '-';
    });
}

static pb::Status invalid(std::string why) {
    return status_of(pb::STATUS_INVALID_ARGUMENT, std::move(why));
}

pb::Status check_place(const pb::ChunkPlace& place, std::string_view node_id) {
    const ChunkKey key = key_of(place.id());
    if (!is_valid(key)) return invalid(str_cat("chunk id ", to_string(key), " has a zero part"));
    if (place.allocated_at_us() == 0) return invalid("the chunk's place has no time of allocation");
    if (place.replicas().empty() || static_cast<size_t>(place.replicas_size()) > kChunkReplicasMax) {
        return invalid(str_cat("a chunk has 1 to ", kChunkReplicasMax, " replicas, not ", place.replicas_size()));
    }
    std::vector<std::string_view> replicas(place.replicas().begin(), place.replicas().end());
    for (const std::string_view replica : replicas) {
        if (!is_node_id(replica)) return invalid("a replica is not a node id");
    }
    std::sort(replicas.begin(), replicas.end());
    if (std::adjacent_find(replicas.begin(), replicas.end()) != replicas.end()) {
        return invalid("a node is named twice among the replicas");
    }
    if (!std::binary_search(replicas.begin(), replicas.end(), node_id)) {
        return invalid(str_cat("node ", node_id, " is not among the replicas of chunk ", to_string(key)));
    }
    return {};
}

pb::Status check_put(const pb::ChunkPut& put, const Payload& data, std::string_view node_id, uint64_t chunk_bytes_max,
                     ChunkHead* head) {
    const pb::ChunkPlace& place = put.place();
    if (pb::Status status = check_place(place, node_id); !is_ok(status)) return status;
    if (put.forward() && (place.acknowledgements_needed() == 0 ||
                          place.acknowledgements_needed() > static_cast<uint32_t>(place.replicas_size()))) {
        return invalid(str_cat(place.acknowledgements_needed(), " acknowledgements asked of ", place.replicas_size(),
                               " replicas"));
    }
    if (data.empty() || data.size() > chunk_bytes_max) {
        return invalid(str_cat("a chunk has 1 to ", chunk_bytes_max, " bytes, not ", data.size()));
    }
    const auto& given = put.checksums().block_crc32c();
    if (static_cast<uint64_t>(given.size()) != block_count(data.size())) {
        return invalid(str_cat(given.size(), " checksums for ", block_count(data.size()), " blocks"));
    }
    std::vector<uint32_t> checksums = block_checksums(data);
    const auto wrong = std::mismatch(checksums.begin(), checksums.end(), given.begin());
    if (wrong.first != checksums.end()) {
        return status_of(pb::STATUS_CORRUPTED,
                         str_cat("the bytes of block ", wrong.first - checksums.begin(), " of chunk ",
                                 to_string(key_of(place.id())), " do not match their checksum"));
    }
    head->key = key_of(place.id());
    head->length = data.size();
    head->allocated_at_us = place.allocated_at_us();
    head->replicas.assign(place.replicas().begin(), place.replicas().end());
    head->block_crc32c = std::move(checksums);
    return {};
}

pb::Status status_of_disk_error(int error, std::string_view doing) {
    const std::string message = str_cat("cannot ", doing, ": ", std::generic_category().message(error));
    if (is_no_space(error)) return status_of(pb::STATUS_ENOSPC, message);
    if (is_not_found(error)) return status_of(pb::STATUS_ENOENT, message);
    if (error == EROFS) return status_of(pb::STATUS_EROFS, message);
    if (is_passing_disk_error(error)) return status_of(pb::STATUS_RESOURCE_EXHAUSTED, message);
    return status_of(pb::STATUS_EIO, message);
}

bool is_no_space(int error) {
    return error == ENOSPC || error == EDQUOT;
}

bool is_not_found(int error) {
    return error == ENOENT;
}

}  // namespace sandstore
