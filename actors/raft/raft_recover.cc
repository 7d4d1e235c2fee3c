// RaftCore: going on without a majority, because an operator says that it is lost for good (sandstore cluster recover).
//
// The node appends, by nobody's vote but its operator's, a configuration in which it votes alone, and leads by itself
// from then on: whatever its log holds becomes committed. That can lose what only the others held, and it may commit
// what was never acknowledged. What it must not do is mix with them: a new founding parts the two (connections between
// foundings are refused), and the terms from here on are none that the lost majority can have reached, so that nothing
// that is named after a term, such as a chunk, can come to mean two things.
#include "actors/raft/raft_core.h"
#include "runtime/crc32c.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

// More terms than a cluster has elections. Two nodes that are recovered from one cluster go apart, too, whichever of
// them is kept afterwards: as far as their foundings say.
constexpr uint64_t kTermsOfALife = 1'000'000;

uint64_t terms_apart(const std::string& founding) {
    if (planted("recovered-in-the-next-term")) return 1;
    return kTermsOfALife * (1 + crc32c(founding) % kTermsOfALife);
}

}  // namespace

// In the log already, after a crash or in a later start: nothing happens again.
void RaftCore::go_on_alone() {
    if (configuration().empty() || configuration().message().founding() == options_.recover_founding) return;
    const pb::RaftConfiguration& before = configuration().message();
    pb::RaftConfiguration alone;
    alone.add_voters(options_.node_id);
    if (options_.storage != 0) {
        pb::RaftStorage* bound = alone.add_storages();
        bound->set_id(options_.node_id);
        bound->set_storage(options_.storage);
    }
    for (const pb::RaftMember& member : before.addresses()) {
        if (member.id() == options_.node_id) *alone.add_addresses() = member;
    }
    alone.set_founding(options_.recover_founding);
    alone.set_feature_level(before.feature_level());
    *alone.mutable_recovered() = before.recovered();
    if (!before.founding().empty()) alone.add_recovered(before.founding());
    const uint64_t held = terms_.last_index();
    set_term(term_ + terms_apart(options_.recover_founding), "");
    append_configuration(alone);
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
    effects_.notice = str_cat(options_.node_id, " goes on alone, by order of its operator, with the ", held,
                              " entries that its log holds: what only the others held is lost, and what was not ",
                              "acknowledged may count from now on");
}

}  // namespace sandstore
