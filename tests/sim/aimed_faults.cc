#include "tests/sim/aimed_faults.h"

#include <algorithm>

#include "messages/envelope.pb.h"

namespace sandstore {

const std::vector<AimedMessage>& aimed_messages() {
    static const std::vector<AimedMessage> messages = {
        {"LogPersisted", [](const Message& m) { return m->has_log_persisted(); }},
        {"LogWrite", [](const Message& m) { return m->has_log_write(); }},
        {"AppendEntries",
         [](const Message& m) { return m->has_append_entries() && m->append_entries().record_count() > 0; }},
        {"AppendReply", [](const Message& m) { return m->has_append_reply(); }},
        {"AppendRefusal", [](const Message& m) { return m->has_append_reply() && !m->append_reply().success(); }},
        {"VoteRequest", [](const Message& m) { return m->has_request_vote() && !m->request_vote().pre_vote(); }},
        {"VoteReply", [](const Message& m) { return m->has_vote_reply() && !m->vote_reply().pre_vote(); }},
        {"TimeoutNow", [](const Message& m) { return m->has_timeout_now(); }},
        {"InstallSnapshot", [](const Message& m) { return m->has_install_snapshot(); }},
        {"InstallSnapshotReply", [](const Message& m) { return m->has_install_snapshot_reply(); }},
        {"SnapshotReceived",
         [](const Message& m) { return m->has_snapshot_received() && m->snapshot_received().complete(); }},
        {"SnapshotSaved", [](const Message& m) { return m->has_snapshot_saved(); }},
        {"SnapshotRestored", [](const Message& m) { return m->has_snapshot_restored(); }},
        {"StatePiece", [](const Message& m) { return m->has_state_piece(); }},
        {"LogCompact", [](const Message& m) { return m->has_log_compact(); }},
        {"ConfigurationChanged", [](const Message& m) { return m->has_configuration_changed(); }},
        {"RoleChanged", [](const Message& m) { return m->has_role_changed(); }},
        {"Applied", [](const Message& m) { return m->has_applied(); }},
        {"ReadIndex", [](const Message& m) { return m->has_read_index(); }},
        {"HeartbeatReply", [](const Message& m) { return m->has_heartbeat_reply(); }},
        // Drawn only with the faults that it belongs to.
        {"DebtTold", [](const Message& m) { return m->has_heartbeat() && m->heartbeat().owed_index() != 0; }},
    };
    return messages;
}

void AimedFaults::aim(const SimEvent& event, const std::string& receiver) {
    const auto argument = [&event](size_t place) {
        return static_cast<uint64_t>(std::max<int64_t>(event.argument(place), 0));
    };
    aims_.push_back({argument(1) % aimed_messages().size(), std::max<uint64_t>(argument(2), 1), receiver,
                     static_cast<AimedHow>(argument(3) % kAimedHowsKnown), argument(4)});
}

void AimedFaults::on_deliver(const std::string& id, const Message& message) {
    if (aims_.empty()) return;
    for (Aim& aim : aims_) {
        if ((!aim.receiver.empty() && aim.receiver != id) || !aimed_messages()[aim.message].is_it(message)) continue;
        if (--aim.left > 0) continue;
        const std::string& from = message->from_node();
        const bool from_node = !from.empty() && from[0] != '~' && from[0] != '@';
        shots_.push_back({aim.how, id, from_node ? from : id, aim.for_us});
    }
    std::erase_if(aims_, [](const Aim& aim) { return aim.left == 0; });
}

}  // namespace sandstore
