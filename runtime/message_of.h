// Wraps a message body in an envelope: message_of(pb::LogWrite{...}). One overload for each body, made from the
// envelope's own list so that a new body needs one line here and the compiler names a missing one.
#pragma once

#include "messages/envelope.pb.h"
#include "runtime/message.h"

namespace sandstore {

#define SANDSTORE_BODIES(X)                          \
    X(TimerFired, timer_fired)                       \
    X(RequestFailed, request_failed)                 \
    X(StatusReply, status_reply)                     \
    X(PeerUp, peer_up)                               \
    X(PeerDown, peer_down)                           \
    X(Flush, flush)                                  \
    X(Drain, drain)                                  \
    X(DiskRequest, disk_request)                     \
    X(DiskReply, disk_reply)                         \
    X(StartLog, start_log)                           \
    X(LogRecovered, log_recovered)                   \
    X(LogWrite, log_write)                           \
    X(LogPersisted, log_persisted)                   \
    X(LogRead, log_read)                             \
    X(LogRecords, log_records)                       \
    X(StartRaft, start_raft)                         \
    X(RequestVote, request_vote)                     \
    X(VoteReply, vote_reply)                         \
    X(AppendEntries, append_entries)                 \
    X(AppendReply, append_reply)                     \
    X(Heartbeat, heartbeat)                          \
    X(HeartbeatReply, heartbeat_reply)               \
    X(Propose, propose)                              \
    X(ProposeReply, propose_reply)                   \
    X(ReadIndex, read_index)                         \
    X(ReadIndexReply, read_index_reply)              \
    X(Apply, apply)                                  \
    X(Applied, applied)                              \
    X(RoleChanged, role_changed)                     \
    X(RaftStatusRequest, raft_status_request)        \
    X(RaftStatus, raft_status)                       \
    X(StartStateMachine, start_state_machine)        \
    X(StartFiles, start_files)                       \
    X(Mutation, mutation)                            \
    X(MutationResult, mutation_result)               \
    X(Query, query)                                  \
    X(QueryResult, query_result)                     \
    X(StateHashRequest, state_hash_request)          \
    X(StateHash, state_hash)                         \
    X(StateMachineReady, state_machine_ready)        \
    X(StartChunks, start_chunks)                     \
    X(AllocateChunks, allocate_chunks)               \
    X(AllocateChunksReply, allocate_chunks_reply)    \
    X(ChunkPut, chunk_put)                           \
    X(ChunkPutReply, chunk_put_reply)                \
    X(ChunkGet, chunk_get)                           \
    X(ChunkGetReply, chunk_get_reply)                \
    X(ChunkList, chunk_list)                         \
    X(ChunkListReply, chunk_list_reply)              \
    X(ChunkDelete, chunk_delete)                     \
    X(ChunkFetch, chunk_fetch)                       \
    X(ChunkStats, chunk_stats)                       \
    X(StartRepairer, start_repairer)                 \
    X(ChunkAudit, chunk_audit)                       \
    X(ChunkAuditReply, chunk_audit_reply)            \
    X(StartMover, start_mover)                       \
    X(CopiesReport, copies_report)                   \
    X(EarlierChunks, earlier_chunks)                 \
    X(ClusterView, cluster_view)                     \
    X(StartPoller, start_poller)                     \
    X(StartNode, start_node)                         \
    X(StartTransport, start_transport)               \
    X(DuplicateNode, duplicate_node)                 \
    X(HttpRequest, http_request)                     \
    X(HttpReply, http_reply)                         \
    X(ClusterStatusRequest, cluster_status_request)  \
    X(ClusterStatus, cluster_status)                 \
    X(StartStatus, start_status)                     \
    X(BootProgress, boot_progress)                   \
    X(NodeFigures, node_figures)                     \
    X(StartClient, start_client)                     \
    X(ClientWrite, client_write)                     \
    X(ClientWriteReply, client_write_reply)          \
    X(ClientRead, client_read)                       \
    X(ClientReadReply, client_read_reply)            \
    X(ClientReadChunk, client_read_chunk)            \
    X(ClientReadChunkReply, client_read_chunk_reply) \
    X(LogCompact, log_compact)                       \
    X(LogSpace, log_space)                           \
    X(TimeoutNow, timeout_now)                       \
    X(ChangeMembership, change_membership)           \
    X(MembershipChanged, membership_changed)         \
    X(ConfigurationChanged, configuration_changed)   \
    X(TransferLeadership, transfer_leadership)       \
    X(StartSnapshots, start_snapshots)               \
    X(SnapshotsRecovered, snapshots_recovered)       \
    X(TakeSnapshot, take_snapshot)                   \
    X(SnapshotTaken, snapshot_taken)                 \
    X(ReadState, read_state)                         \
    X(StatePiece, state_piece)                       \
    X(DropSnapshot, drop_snapshot)                   \
    X(SaveSnapshot, save_snapshot)                   \
    X(SnapshotSaved, snapshot_saved)                 \
    X(SnapshotRead, snapshot_read)                   \
    X(SnapshotBytes, snapshot_bytes)                 \
    X(SnapshotReceive, snapshot_receive)             \
    X(SnapshotReceived, snapshot_received)           \
    X(RestoreSnapshot, restore_snapshot)             \
    X(SnapshotRestored, snapshot_restored)           \
    X(ReadSection, read_section)                     \
    X(SnapshotSection, snapshot_section)             \
    X(InstallSnapshot, install_snapshot)             \
    X(InstallSnapshotReply, install_snapshot_reply)  \
    X(RequestSnapshot, request_snapshot)             \
    X(SnapshotVerify, snapshot_verify)               \
    X(SnapshotVerified, snapshot_verified)           \
    X(StorageChanged, storage_changed)               \
    X(UnfinishedWork, unfinished_work)               \
    X(ChunksCollected, chunks_collected)             \
    X(RepairState, repair_state)                     \
    X(AllowDeletions, allow_deletions)               \
    X(Hello, hello)                                  \
    X(HelloReply, hello_reply)

#define SANDSTORE_MESSAGE_OF(Type, field)                            \
    inline Message message_of(pb::Type body, Payload payload = {}) { \
        Message message;                                             \
        *message.envelope().mutable_##field() = std::move(body);     \
        message.payload = std::move(payload);                        \
        return message;                                              \
    }
SANDSTORE_BODIES(SANDSTORE_MESSAGE_OF)
#undef SANDSTORE_MESSAGE_OF

}  // namespace sandstore
