#include "apps/sandstore/replayable_actors.h"

#include "actors/chunk/chunk_service.h"
#include "actors/chunk/repairer.h"
#include "actors/cluster/bootstrap.h"
#include "actors/cluster/status_service.h"
#include "actors/fs/file_service.h"
#include "actors/fs/file_state_machine.h"
#include "actors/fs/mover.h"
#include "actors/log/log_store.h"
#include "actors/log/snapshot_store.h"
#include "client/client_actor.h"

namespace sandstore {

namespace {

template <typename SomeActor>
std::unique_ptr<Actor> make() {
    return std::make_unique<SomeActor>();
}

}  // namespace

const std::map<std::string, ReplayableActor>& replayable_actors() {
    static const std::map<std::string, ReplayableActor> kActors = [] {
        std::vector<ReplayableActor> all = {
            {"Bootstrap", pb::ACTOR_BOOTSTRAP, make<Bootstrap>},
            {"ChunkService", pb::ACTOR_CHUNKS, make<ChunkService>},
            {"ClientActor", pb::ACTOR_CLIENT, make<ClientActor>},
            {"FileService", pb::ACTOR_FILES, make<FileService>},
            {"LogStore", pb::ACTOR_LOG, make<LogStore>},
            {"Mover", pb::ACTOR_MOVER, make<Mover>},
            {"Repairer", pb::ACTOR_REPAIRER, make<Repairer>},
            {"SnapshotStore", pb::ACTOR_SNAPSHOTS, make<SnapshotStore>},
            {"StateMachine", pb::ACTOR_STATE_MACHINE, make_file_state_machine},
            {"StatusService", pb::ACTOR_STATUS, make<StatusService>},
        };
        for (const Module* module : modules()) {
            all.insert(all.end(), module->replayable.begin(), module->replayable.end());
        }
        std::map<std::string, ReplayableActor> by_name;
        for (ReplayableActor& actor : all) by_name.emplace(actor.name, std::move(actor));
        return by_name;
    }();
    return kActors;
}

}  // namespace sandstore
