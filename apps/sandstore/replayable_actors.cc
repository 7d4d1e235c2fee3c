#include "apps/sandstore/replayable_actors.h"

#include "actors/chunk/chunk_service.h"
#include "actors/chunk/repairer.h"
#include "actors/cluster/bootstrap.h"
#include "actors/cluster/etcd_poller.h"
#include "actors/cluster/status_service.h"
#include "actors/fs/file_service.h"
#include "actors/fs/state_machine.h"
#include "actors/log/log_store.h"
#include "actors/log/snapshot_store.h"
#include "actors/raft/noop_replicator.h"
#include "actors/raft/raft_node.h"
#include "client/client_actor.h"
#include "messages/common.pb.h"

namespace sandstore {

namespace {

template <typename SomeActor>
ReplayableActor replayable(pb::ActorKind kind) {
    return {kind, [] { return std::make_unique<SomeActor>(); }};
}

}  // namespace

const std::map<std::string, ReplayableActor>& replayable_actors() {
    static const std::map<std::string, ReplayableActor> kActors = {
        {"Bootstrap", replayable<Bootstrap>(pb::ACTOR_BOOTSTRAP)},
        {"ChunkService", replayable<ChunkService>(pb::ACTOR_CHUNKS)},
        {"ClientActor", replayable<ClientActor>(pb::ACTOR_CLIENT)},
        {"EtcdPoller", replayable<EtcdPoller>(pb::ACTOR_ETCD_POLLER)},
        {"FileService", replayable<FileService>(pb::ACTOR_FILES)},
        {"LogStore", replayable<LogStore>(pb::ACTOR_LOG)},
        {"NoOpReplicator", replayable<NoOpReplicator>(pb::ACTOR_RAFT)},
        {"RaftNode", replayable<RaftNode>(pb::ACTOR_RAFT)},
        {"Repairer", replayable<Repairer>(pb::ACTOR_REPAIRER)},
        {"SnapshotStore", replayable<SnapshotStore>(pb::ACTOR_SNAPSHOTS)},
        {"StateMachine", replayable<StateMachine>(pb::ACTOR_STATE_MACHINE)},
        {"StatusService", replayable<StatusService>(pb::ACTOR_STATUS)},
    };
    return kActors;
}

}  // namespace sandstore
