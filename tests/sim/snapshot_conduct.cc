#include "tests/sim/snapshot_conduct.h"

#include <cstring>

#include "actors/log/record.h"
#include "actors/log/snapshot_format.h"
#include "actors/raft/raft_core.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kVerifyWindowUs = 100'000;
constexpr uint64_t kVerifiesPerWindowMax = 40;  // Of a leader that changes, for several peers.

bool is_whole(const std::string& file) {
    uint32_t checksum = 0;
    if (file.size() < sizeof(checksum)) return false;
    const size_t covered = file.size() - sizeof(checksum);
    std::memcpy(&checksum, file.data() + covered, sizeof(checksum));
    return crc32c(std::string_view(file).substr(0, covered)) == checksum;
}

}  // namespace

void SnapshotConduct::violated(const char* name, const std::string& what) {
    throw InvariantBroken(str_cat("invariant ", name, ": ", what));
}

void SnapshotConduct::on_deliver(const std::string& id, const Message& message, uint64_t now_us) {
    Node& node = nodes_[id];
    if (message->to_actor() == pb::ACTOR_RAFT) to_raft(id, node, message);
    if (message->to_actor() == pb::ACTOR_SNAPSHOTS) to_store(id, node, message, now_us);
    if (message->to_actor() == pb::ACTOR_STATE_MACHINE && message->has_apply()) check_applied(id, node, message);
}

void SnapshotConduct::to_raft(const std::string& id, Node& node, const Message& message) {
    const RaftCore* core = core_of_(id);
    if (core == nullptr) return;
    if (message->has_install_snapshot()) {
        const pb::InstallSnapshot& request = message->install_snapshot();
        const bool is_news = request.term() >= core->term() && request.meta().index() > core->commit_index();
        if (is_news) node.awaited[request.meta().index()]++;
    } else if (message->has_snapshot_received() && message->snapshot_received().complete()) {
        const pb::SnapshotMeta& meta = message->snapshot_received().meta();
        if (meta.index() <= core->commit_index()) return;
        node.installing_index = meta.index();
        node.installing_term = meta.term();
        node.last_index = core->last_index();
        node.agrees = core->terms().matches(meta.index(), meta.term());
    } else if (message->has_snapshot_restored()) {
        if (message->snapshot_restored().status().code() == pb::STATUS_OK) {
            node.next_applied = message->snapshot_restored().index() + 1;
        }
    } else if (message->has_snapshot_verified() && message->snapshot_verified().status().code() == pb::STATUS_OK) {
        const pb::SnapshotVerified& verified = message->snapshot_verified();
        if (!node.was_damaged[{verified.index(), verified.term()}]) return;
        violated("damaged_snapshots_are_not_sent", str_cat(id, " takes that of ", verified.index(), " for good"));
    }
}

void SnapshotConduct::to_store(const std::string& id, Node& node, const Message& message, uint64_t now_us) {
    if (message->has_snapshot_receive()) {
        const uint64_t index = message->snapshot_receive().meta().index();
        if (node.awaited[index]-- == 0) violated("old_snapshots_are_not_taken_in", str_cat(id, ": that of ", index));
    } else if (message->has_snapshot_verify()) {
        const pb::SnapshotVerify& verify = message->snapshot_verify();
        const std::string file = file_of_(id, snapshot_file(verify.index(), verify.term()));
        node.was_damaged[{verify.index(), verify.term()}] = !file.empty() && !is_whole(file);
        const uint64_t window = now_us / kVerifyWindowUs;
        if (std::exchange(node.verify_window, window) != window) node.verifies = 0;
        if (++node.verifies <= kVerifiesPerWindowMax) return;
        violated("snapshots_are_sent_again_later",
                 str_cat(id, " reads snapshots back ", node.verifies, " times in ", kVerifyWindowUs / 1000, " ms"));
    }
}

void SnapshotConduct::check_applied(const std::string& id, Node& node, const Message& message) {
    RecordReader reader(message.payload);
    Record record;
    while (reader.next(&record)) {
        if (record.index == node.next_applied++) continue;
        violated("each_entry_is_applied_once",
                 str_cat(id, " applies ", record.index, ", next would be ", node.next_applied - 1));
    }
}

void SnapshotConduct::after_step(const std::string& id) {
    Node& node = nodes_[id];
    const uint64_t index = std::exchange(node.installing_index, 0);
    const RaftCore* core = index == 0 ? nullptr : core_of_(id);
    if (core == nullptr) return;
    if (node.agrees && core->last_index() < node.last_index) {
        violated("logs_that_agree_with_a_snapshot_are_kept",
                 str_cat(id, " had ", node.last_index, " entries, has ", core->last_index(), " after that of ", index));
    }
    if (core->first_index() == index + 1 || core->terms().matches(index, node.installing_term)) return;
    violated("logs_that_contradict_a_snapshot_begin_anew", str_cat(id, " kept its log under that of ", index));
}

}  // namespace sandstore
