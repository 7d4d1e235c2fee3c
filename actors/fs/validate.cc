#include "actors/fs/validate.h"

#include <algorithm>
#include <vector>

#include "actors/fs/limits.h"
#include "actors/fs/path.h"
#include "runtime/names.h"

namespace sandstore {

namespace {

Outcome check_at(const pb::At& at) {
    ParsedPath parsed;
    return parse_path(at.path(), &parsed);
}

Outcome check_mode(uint32_t mode) {
    if ((mode & ~kModeMask) != 0) return {pb::STATUS_EINVAL, "A mode has permission bits only, at most 07777"};
    return {};
}

Outcome first_failure(const Outcome& first, const Outcome& second) {
    return first.ok() ? second : first;
}

// Never a form of address such as "~3" or "@host:port": nodes send messages to the replicas that a commit names.
bool is_node_id(std::string_view text) {
    const auto fits = [](unsigned char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
               (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' || letter == '.';
    };
    return !text.empty() && text.size() <= kNodeIdBytesMax && std::all_of(text.begin(), text.end(), fits);
}

Outcome check_replicas(const pb::ChunkId& id, const google::protobuf::RepeatedPtrField<std::string>& replicas) {
    if (id.term() == 0 || id.number() == 0) return {pb::STATUS_EINVAL, "An extent names no chunk"};
    if (replicas.empty() || replicas.size() > kReplicasMax) {
        return {pb::STATUS_EINVAL, "A chunk has 1 to 16 replicas"};
    }
    for (int i = 0; i < replicas.size(); ++i) {
        const std::string& node = replicas.at(i);
        if (!is_node_id(node)) return {pb::STATUS_EINVAL, "A replica is not a node id"};
        for (int j = 0; j < i; ++j) {
            if (replicas.at(j) == node) return {pb::STATUS_EINVAL, "A chunk names a replica twice"};
        }
    }
    return {};
}

Outcome check_moves(const pb::MoveChunks& request) {
    if (request.moves_size() > kMovesPerCommandMax) return {pb::STATUS_INVALID_ARGUMENT, "Too many chunks to move"};
    for (const pb::MoveChunks::Move& move : request.moves()) {
        if (Outcome outcome = check_replicas(move.id(), move.to()); !outcome.ok()) return outcome;
    }
    return {};
}

Outcome check_extent(const pb::Extent& extent) {
    if (extent.length() == 0) return {pb::STATUS_EINVAL, "An extent is empty"};
    if (extent.offset() > kFileBytesMax || extent.length() > kFileBytesMax - extent.offset()) return pb::STATUS_EFBIG;
    if (extent.chunk_offset() > extent.chunk_length() ||
        extent.length() > extent.chunk_length() - extent.chunk_offset()) {
        return {pb::STATUS_EINVAL, "An extent reaches beyond its chunk"};
    }
    return check_replicas(extent.chunk().id(), extent.chunk().replicas());
}

Outcome check_commit(const pb::CommitExtents& commit) {
    if (Outcome at = check_at(commit.at()); !at.ok()) return at;
    if (commit.extents_size() > kExtentsPerCommandMax) {
        return {pb::STATUS_EINVAL, "Too many extents in one request: at most 1024"};
    }
    if (commit.has_mode()) {
        if (!commit.create()) return {pb::STATUS_EINVAL, "A commit has a mode only where it may make the file"};
        if (Outcome mode = check_mode(commit.mode()); !mode.ok()) return mode;
    }
    if (commit.append() && commit.offset() != 0) return {pb::STATUS_EINVAL, "An append has no offset"};
    if (commit.offset() > kFileBytesMax) return pb::STATUS_EFBIG;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    ranges.reserve(static_cast<size_t>(commit.extents_size()));
    for (const pb::Extent& extent : commit.extents()) {
        if (Outcome outcome = check_extent(extent); !outcome.ok()) return outcome;
        if (extent.offset() + extent.length() > kFileBytesMax - commit.offset()) return pb::STATUS_EFBIG;
        ranges.emplace_back(extent.offset(), extent.offset() + extent.length());
    }
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 1; i < ranges.size(); ++i) {
        if (ranges[i].first < ranges[i - 1].second) return {pb::STATUS_EINVAL, "Extents of one request overlap"};
    }
    return {};
}

Outcome check_abandoned(const pb::AbandonChunks& request) {
    if (request.chunks_size() > kAbandonedPerCommandMax) {
        return {pb::STATUS_INVALID_ARGUMENT, "Too many chunks in one request: at most 256"};
    }
    for (const pb::AbandonChunks::Chunk& chunk : request.chunks()) {
        if (chunk.id().term() == 0 || chunk.id().number() == 0) {
            return {pb::STATUS_INVALID_ARGUMENT, "A chunk to be abandoned has no id"};
        }
    }
    return {};
}

Outcome check_attributes(const pb::SetAttributes& set) {
    if (Outcome at = check_at(set.at()); !at.ok()) return at;
    if (set.has_size() && set.size() > kFileBytesMax) return pb::STATUS_EFBIG;
    return set.has_mode() ? check_mode(set.mode()) : Outcome();
}

}  // namespace

Outcome check_operation(const pb::Mutation& mutation) {
    switch (mutation.operation_case()) {
        case pb::Mutation::kOpenSession:
        case pb::Mutation::kCloseSession:
            return {};
        case pb::Mutation::kMakeDirectory:
            return first_failure(check_at(mutation.make_directory().at()),
                                 check_mode(mutation.make_directory().mode()));
        case pb::Mutation::kCreateFile:
            return first_failure(check_at(mutation.create_file().at()), check_mode(mutation.create_file().mode()));
        case pb::Mutation::kRemoveFile:
            return check_at(mutation.remove_file().at());
        case pb::Mutation::kRemoveDirectory:
            return check_at(mutation.remove_directory().at());
        case pb::Mutation::kRename:
            return first_failure(check_at(mutation.rename().from()), check_at(mutation.rename().to()));
        case pb::Mutation::kSetAttributes:
            return check_attributes(mutation.set_attributes());
        case pb::Mutation::kCommitExtents:
            return check_commit(mutation.commit_extents());
        case pb::Mutation::kReplaceExtents:
            return first_failure(check_at(mutation.replace_extents().at()),
                                 check_extent(mutation.replace_extents().extent()));
        case pb::Mutation::kHoldChunks:
            if (mutation.hold_chunks().lifetime_us() == 0 ||
                mutation.hold_chunks().lifetime_us() > kHoldLifetimeMaxUs) {
                return {pb::STATUS_INVALID_ARGUMENT, "A hold lasts at most a day"};
            }
            return {};
        case pb::Mutation::kReleaseHold:
        case pb::Mutation::kEndLease:
            return {};
        case pb::Mutation::kLeaseFile:
            return check_at(mutation.lease_file().at());
        case pb::Mutation::kPublishFile:
            return first_failure(check_at(mutation.publish_file().at()), check_mode(mutation.publish_file().mode()));
        case pb::Mutation::kMoveChunks:
            return check_moves(mutation.move_chunks());
        case pb::Mutation::kAbandonChunks:
            return check_abandoned(mutation.abandon_chunks());
        case pb::Mutation::OPERATION_NOT_SET:
            break;
    }
    return {pb::STATUS_INVALID_ARGUMENT, "The mutation has no operation that this version knows"};
}

Outcome check_mutation(const pb::Mutation& mutation) {
    if (mutation.has_open_session()) {
        if (mutation.session_id() == 0) return {};
        return {pb::STATUS_INVALID_ARGUMENT, "open_session is sent without a session"};
    }
    if (Outcome outcome = check_operation(mutation); !outcome.ok()) return outcome;
    if (mutation.has_move_chunks()) {
        if (mutation.session_id() == 0) return {};
        return {pb::STATUS_INVALID_ARGUMENT, "move_chunks is sent without a session"};
    }
    if (mutation.session_id() == 0) return {pb::STATUS_INVALID_ARGUMENT, "A mutation needs a session: open one first"};
    if (mutation.filler().size() > kFillerBytesMax) return {pb::STATUS_INVALID_ARGUMENT, "filler is at most 1 MiB"};
    if (mutation.sequence() == 0) return {pb::STATUS_INVALID_ARGUMENT, "Sequence numbers start at 1"};
    if (mutation.oldest_needed() > mutation.sequence()) {
        return {pb::STATUS_INVALID_ARGUMENT, "oldest_needed must not be greater than sequence"};
    }
    return {};
}

Outcome check_query(const pb::Query& query) {
    switch (query.operation_case()) {
        case pb::Query::kStat:
            return check_at(query.stat().at());
        case pb::Query::kListDirectory:
            if (query.list_directory().limit() > kDirectoryEntriesMax) {
                return {pb::STATUS_INVALID_ARGUMENT, "limit is at most 10000"};
            }
            if (query.list_directory().after().size() > kNameBytesMax) return pb::STATUS_ENAMETOOLONG;
            return check_at(query.list_directory().at());
        case pb::Query::kReadExtents:
            if (query.read_extents().content() != 0 && !query.read_extents().at().path().empty()) {
                return {pb::STATUS_INVALID_ARGUMENT, "A content is read by the inode alone"};
            }
            return check_at(query.read_extents().at());
        case pb::Query::kStatFileSystem:
            return {};
        case pb::Query::kChunksOfNode:
            if (query.chunks_of_node().node_id().empty() != query.chunks_of_node().every_node()) {
                return {pb::STATUS_INVALID_ARGUMENT, "No node is named"};
            }
            if (query.chunks_of_node().candidates().size() > kAuditCandidatesMax) {
                return {pb::STATUS_INVALID_ARGUMENT, "Too many chunks are asked about at once"};
            }
            if (query.chunks_of_node().limit() > kAuditChunksMax) {
                return {pb::STATUS_INVALID_ARGUMENT, "limit is at most 10000"};
            }
            return {};
        case pb::Query::kExportState:
            if (query.any_node()) return {pb::STATUS_INVALID_ARGUMENT, "The node that leads exports the namespace"};
            if ((query.export_state().export_id() == 0) != (query.export_state().piece() == 0)) {
                return {pb::STATUS_INVALID_ARGUMENT, "The first piece, and only that, is asked for without an id"};
            }
            return {};
        case pb::Query::OPERATION_NOT_SET:
            break;
    }
    return {pb::STATUS_INVALID_ARGUMENT, "The query has no operation that this version knows"};
}

Outcome check_audit(const pb::ChunkAudit& audit) {
    if (audit.node_id().empty()) return {pb::STATUS_INVALID_ARGUMENT, "No node is named"};
    if (audit.candidates().size() > kAuditCandidatesMax) {
        return {pb::STATUS_INVALID_ARGUMENT, "Too many chunks are asked about at once"};
    }
    return {};
}

}  // namespace sandstore
