// Which lane a message takes, and what happens to it when the receiver's mailbox is full.
#pragma once

#include "messages/envelope.pb.h"

namespace sandstore {

enum class Lane { kControl, kData };

enum class FullPolicy {
    kReject,  // The sender gets RESOURCE_EXHAUSTED. For requests.
    kDrop,    // Lost and counted; its protocol sends again.
    kAccept,  // Never refused: its sender bounds how many there are.
};

// Control: short, urgent, and never behind bulk: votes, heartbeats, timers, completions.
constexpr Lane lane_of(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kTimerFired:
        case pb::Envelope::kRequestFailed:
        case pb::Envelope::kPeerUp:
        case pb::Envelope::kPeerDown:
        case pb::Envelope::kDrain:
        case pb::Envelope::kDiskReply:
        case pb::Envelope::kLogPersisted:
        case pb::Envelope::kRequestVote:
        case pb::Envelope::kVoteReply:
        case pb::Envelope::kHeartbeat:
        case pb::Envelope::kHeartbeatReply:
        case pb::Envelope::kAppendReply:
        case pb::Envelope::kDuplicateNode:
        case pb::Envelope::kTimeoutNow:
        case pb::Envelope::kInstallSnapshotReply:
        case pb::Envelope::kLogSpace:
            return Lane::kControl;
        default:
            return Lane::kData;
    }
}

constexpr FullPolicy full_policy_of(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kMutation:
        case pb::Envelope::kQuery:
        case pb::Envelope::kAllocateChunks:
        case pb::Envelope::kPropose:
        case pb::Envelope::kReadIndex:
        case pb::Envelope::kChunkPut:
        case pb::Envelope::kChunkGet:
        case pb::Envelope::kChunkAudit:
        case pb::Envelope::kClusterStatusRequest:
        case pb::Envelope::kClientRead:
        case pb::Envelope::kClientWrite:
        case pb::Envelope::kChangeMembership:
        case pb::Envelope::kTransferLeadership:
        case pb::Envelope::kRequestSnapshot:
        case pb::Envelope::kAllowDeletions:
            return FullPolicy::kReject;
        case pb::Envelope::kAppendEntries:
        case pb::Envelope::kChunkStats:
        case pb::Envelope::kInstallSnapshot:
        case pb::Envelope::kChunksCollected:
            return FullPolicy::kDrop;
        default:
            return FullPolicy::kAccept;
    }
}

}  // namespace sandstore
