#include "net/message_policy.h"

#include <algorithm>

#include "runtime/message.h"
#include "runtime/names.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

using Body = pb::Envelope::BodyCase;

// Everything that a client may ask, and of whom.
constexpr struct {
    Body body;
    pb::ActorKind actor;
} kClientRequests[] = {
    {Body::kMutation, pb::ACTOR_FILES},          {Body::kQuery, pb::ACTOR_FILES},
    {Body::kAllocateChunks, pb::ACTOR_FILES},    {Body::kChunkPut, pb::ACTOR_CHUNKS},
    {Body::kChunkGet, pb::ACTOR_CHUNKS},         {Body::kClusterStatusRequest, pb::ACTOR_STATUS},
    {Body::kChangeMembership, pb::ACTOR_STATUS}, {Body::kTransferLeadership, pb::ACTOR_STATUS},
    {Body::kRequestSnapshot, pb::ACTOR_STATUS},  {Body::kAllowDeletions, pb::ACTOR_STATUS},
};

enum class Travels {
    kFreely,
    kAsReply,  // Only as the answer to a request.
    kNever,    // Has a meaning inside a node only.
};

// No default: a new body must be given its place here.
Travels between_nodes(Body body) {
    switch (body) {
        case Body::kRequestVote:
        case Body::kVoteReply:
        case Body::kAppendEntries:
        case Body::kAppendReply:
        case Body::kHeartbeat:
        case Body::kHeartbeatReply:
        case Body::kReadIndex:
        case Body::kRaftStatusRequest:
        case Body::kTimeoutNow:
        case Body::kInstallSnapshot:
        case Body::kInstallSnapshotReply:
        case Body::kChangeMembership:
        case Body::kTransferLeadership:
        case Body::kRequestSnapshot:
        case Body::kAllowDeletions:
        case Body::kMutation:
        case Body::kQuery:
        case Body::kStateHashRequest:
        case Body::kAllocateChunks:
        case Body::kChunkPut:
        case Body::kChunkGet:
        case Body::kChunkList:
        case Body::kChunkDelete:
        case Body::kChunkFetch:
        case Body::kChunkStats:
        case Body::kChunkAudit:
        case Body::kClusterStatusRequest:
            return Travels::kFreely;

        case Body::kRequestFailed:
        case Body::kStatusReply:
        case Body::kProposeReply:
        case Body::kReadIndexReply:
        case Body::kRaftStatus:
        case Body::kMembershipChanged:
        case Body::kSnapshotSaved:
        case Body::kMutationResult:
        case Body::kQueryResult:
        case Body::kStateHash:
        case Body::kAllocateChunksReply:
        case Body::kChunkPutReply:
        case Body::kChunkGetReply:
        case Body::kChunkListReply:
        case Body::kChunkAuditReply:
        case Body::kClusterStatus:
            return Travels::kAsReply;

        case Body::kPropose:  // What is proposed was looked at by the same program (actors/fs/known.h).
        case Body::kTimerFired:
        case Body::kPeerUp:
        case Body::kPeerDown:
        case Body::kFlush:
        case Body::kDrain:
        case Body::kDiskRequest:
        case Body::kDiskReply:
        case Body::kStartLog:
        case Body::kLogRecovered:
        case Body::kLogWrite:
        case Body::kLogPersisted:
        case Body::kLogRead:
        case Body::kLogRecords:
        case Body::kLogCompact:
        case Body::kLogSpace:
        case Body::kStorageChanged:
        case Body::kUnfinishedWork:
        case Body::kChunksCollected:
        case Body::kRepairState:
        case Body::kConfigurationChanged:
        case Body::kStartSnapshots:
        case Body::kSnapshotsRecovered:
        case Body::kTakeSnapshot:
        case Body::kSnapshotTaken:
        case Body::kReadState:
        case Body::kStatePiece:
        case Body::kDropSnapshot:
        case Body::kSaveSnapshot:
        case Body::kSnapshotRead:
        case Body::kSnapshotBytes:
        case Body::kSnapshotVerify:
        case Body::kSnapshotVerified:
        case Body::kSnapshotReceive:
        case Body::kSnapshotReceived:
        case Body::kRestoreSnapshot:
        case Body::kSnapshotRestored:
        case Body::kReadSection:
        case Body::kSnapshotSection:
        case Body::kStartRaft:
        case Body::kApply:
        case Body::kApplied:
        case Body::kRoleChanged:
        case Body::kStartStateMachine:
        case Body::kStartFiles:
        case Body::kStateMachineReady:
        case Body::kStartChunks:
        case Body::kStartRepairer:
        case Body::kStartMover:
        case Body::kCopiesReport:
        case Body::kEarlierChunks:
        case Body::kClusterView:
        case Body::kStartPoller:
        case Body::kStartNode:
        case Body::kStartTransport:
        case Body::kDuplicateNode:
        case Body::kHttpRequest:
        case Body::kHttpReply:
        case Body::kStartStatus:
        case Body::kBootProgress:
        case Body::kNodeFigures:
        case Body::kStartClient:
        case Body::kClientWrite:
        case Body::kClientWriteReply:
        case Body::kClientRead:
        case Body::kClientReadReply:
        case Body::kClientReadChunk:
        case Body::kClientReadChunkReply:
        case Body::kHello:  // Belongs to the connection, not to an actor.
        case Body::kHelloReply:
        case Body::BODY_NOT_SET:
            return Travels::kNever;
    }
    return Travels::kNever;
}

// Actors that other nodes talk to. Ports are never reached from outside.
bool is_open_to_peers(pb::ActorKind actor) {
    switch (actor) {
        case pb::ACTOR_RAFT:
        case pb::ACTOR_STATE_MACHINE:
        case pb::ACTOR_FILES:
        case pb::ACTOR_CHUNKS:
        case pb::ACTOR_REPAIRER:
        case pb::ACTOR_MOVER:
        case pb::ACTOR_STATUS:
            return true;
        default:
            return false;
    }
}

// Replies go to whoever asked; the runtime matches them with the open request.
bool is_actor(pb::ActorKind actor) {
    return actor > pb::ACTOR_NONE && actor < pb::PORT_TRANSPORT;
}

std::string not_for(const pb::Envelope& envelope, std::string_view sender) {
    return str_cat(sender, " may not send ", body_name(envelope), " to ", actor_name(envelope.to_actor()));
}

}  // namespace

bool is_control_message(const pb::Envelope& envelope) {
    switch (envelope.body_case()) {
        case Body::kRequestVote:
        case Body::kVoteReply:
        case Body::kAppendEntries:
        case Body::kAppendReply:
        case Body::kHeartbeat:
        case Body::kHeartbeatReply:
        case Body::kTimeoutNow:
            return true;
        default:
            return false;
    }
}

std::string refuse_from_client(const pb::Envelope& envelope) {
    if (envelope.reply_to() == 0) {
        for (const auto& allowed : kClientRequests) {
            if (allowed.body == envelope.body_case() && allowed.actor == envelope.to_actor()) return "";
        }
    }
    return not_for(envelope, "a client");
}

std::string refuse_from_peer(const pb::Envelope& envelope) {
    const Travels travels = between_nodes(envelope.body_case());
    if (envelope.reply_to() != 0 && travels != Travels::kNever && is_actor(envelope.to_actor())) return "";
    if (envelope.reply_to() == 0 && travels == Travels::kFreely && is_open_to_peers(envelope.to_actor())) return "";
    return not_for(envelope, "another node");
}

std::string refuse_from_server(const pb::Envelope& envelope) {
    if (envelope.reply_to() != 0 && between_nodes(envelope.body_case()) != Travels::kNever &&
        is_actor(envelope.to_actor())) {
        return "";
    }
    return not_for(envelope, "a server");
}

bool is_valid_node_id(std::string_view id) {
    if (id.empty() || id.size() > kNodeIdBytesMax) return false;
    return std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    });
}

}  // namespace sandstore
