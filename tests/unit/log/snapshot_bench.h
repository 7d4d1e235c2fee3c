// A SnapshotStore on a simulated disk with a state machine of given pieces, driven by hand: the tests' bench.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/log/snapshot_store.h"
#include "runtime/message_of.h"
#include "tests/kit/step_kit.h"
#include "tests/sim/sim_disk.h"

namespace sandstore {

inline pb::SnapshotMeta snapshot_meta(uint64_t index, uint64_t term = 1) {
    pb::SnapshotMeta meta;
    meta.set_index(index);
    meta.set_term(term);
    meta.mutable_configuration()->add_voters("node-1");
    meta.mutable_configuration()->add_voters("node-2");
    meta.set_configuration_index(index / 2);
    return meta;
}

// Different for every index.
inline std::vector<std::string> state_pieces(uint64_t index, size_t count = 5, size_t bytes = 3000) {
    std::vector<std::string> pieces;
    for (size_t i = 0; i < count; i++) {
        pieces.push_back(std::string(bytes + i, static_cast<char>('a' + (index + i) % 26)) + std::to_string(index));
    }
    return pieces;
}

class SnapshotBench {
 public:
    explicit SnapshotBench(SimDisk* disk) : disk_(disk) {}

    void set_cluster(std::string id) { cluster_id_ = std::move(id); }
    void set_pieces(std::vector<std::string> pieces) { pieces_ = std::move(pieces); }

    void begin() {
        kit_ = std::make_unique<StepKit>(std::make_unique<SnapshotStore>(), LocalAddress{pb::ACTOR_SNAPSHOTS});
        pb::StartSnapshots start;
        start.set_cluster_id(cluster_id_);
        start.set_node_id("node-1");
        kit_->deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
    }
    void start() {
        begin();
        run();
    }
    void crash() {
        kit_.reset();
        disk_->crash();
    }
    void restart() {
        crash();
        start();
    }

    bool step_disk() {
        if (kit_->stopped() || disk_->powered_off()) return false;
        std::optional<Message> request = kit_->try_take(pb::Envelope::kDiskRequest);
        if (!request) return false;
        Payload read;
        pb::DiskReply reply = disk_->execute((*request)->disk_request(), request->payload, &read);
        if (disk_->powered_off()) return false;
        kit_->answer(*request, message_of(std::move(reply), std::move(read)));
        return true;
    }
    bool step_state() {
        if (kit_->stopped()) return false;
        std::optional<Message> request = kit_->try_take(pb::Envelope::kReadState);
        if (!request) return false;
        const uint64_t place = (*request)->read_state().piece();
        pb::StatePiece piece;
        piece.mutable_status();
        piece.set_piece(place);
        piece.set_last(place + 1 >= pieces_.size());
        kit_->answer(*request, message_of(piece, Payload(pieces_.at(place))));
        return true;
    }
    void run() {
        while (step_state() || step_disk()) {
        }
    }

    std::vector<uint64_t> recovered() {
        std::vector<uint64_t> indices;
        Message message = kit_->take(pb::Envelope::kSnapshotsRecovered);
        for (const pb::SnapshotMeta& meta : message->snapshots_recovered().snapshots()) indices.push_back(meta.index());
        return indices;
    }

    uint64_t ask_save(uint64_t index, uint64_t term = 1) {
        pb::SaveSnapshot save;
        *save.mutable_meta() = snapshot_meta(index, term);
        return kit_->request(message_of(save), {pb::ACTOR_RAFT});
    }
    pb::SnapshotSaved save(uint64_t index, uint64_t term = 1) {
        pieces_ = state_pieces(index);
        const uint64_t id = ask_save(index, term);
        run();
        Message answer = kit_->take_answer(id);
        return answer->snapshot_saved();
    }

    uint64_t ask_receive(const pb::SnapshotMeta& meta, uint64_t offset, std::string bytes) {
        pb::SnapshotReceive receive;
        *receive.mutable_meta() = meta;
        receive.set_offset(offset);
        return kit_->request(message_of(receive, Payload(std::move(bytes))), {pb::ACTOR_RAFT});
    }
    pb::SnapshotReceived receive(const pb::SnapshotMeta& meta, uint64_t offset, std::string bytes) {
        const uint64_t id = ask_receive(meta, offset, std::move(bytes));
        run();
        Message answer = kit_->take_answer(id);
        return answer->snapshot_received();
    }
    // From where it says that it is, to the end.
    pb::SnapshotReceived receive_all(const pb::SnapshotMeta& meta, const std::string& file, size_t piece = 1000) {
        pb::SnapshotReceived reply = receive(meta, 0, "");
        while (!reply.complete() && reply.status().code() == pb::STATUS_OK) {
            reply = receive(meta, reply.next_offset(), file.substr(reply.next_offset(), piece));
        }
        return reply;
    }

    struct Bytes {
        pb::Status status;
        std::string bytes;
    };
    Bytes read(uint64_t index, uint64_t offset, uint64_t length, uint64_t term = 1) {
        pb::SnapshotRead read;
        read.set_index(index);
        read.set_term(term);
        read.set_offset(offset);
        read.set_length(length);
        const uint64_t id = kit_->request(message_of(read), {pb::ACTOR_RAFT});
        run();
        Message answer = kit_->take_answer(id);
        return {answer->snapshot_bytes().status(), answer.payload.to_string()};
    }

    // All the sections; the status is that of the last answer.
    struct Sections {
        pb::Status status;
        std::vector<std::string> pieces;
    };
    Sections sections(uint64_t index, uint64_t term = 1) {
        Sections found;
        for (uint64_t offset = 0;;) {
            pb::ReadSection read;
            read.set_index(index);
            read.set_term(term);
            read.set_offset(offset);
            const uint64_t id = kit_->request(message_of(read), {pb::ACTOR_STATE_MACHINE});
            run();
            Message answer = kit_->take_answer(id);
            found.status = answer->snapshot_section().status();
            if (found.status.code() != pb::STATUS_OK) return found;
            found.pieces.push_back(answer.payload.to_string());
            if (answer->snapshot_section().last()) return found;
            offset = answer->snapshot_section().next_offset();
        }
    }

    StepKit& kit() { return *kit_; }
    bool stopped() const { return kit_->stopped().has_value(); }
    std::string reason() const { return kit_->stopped().value_or(""); }

 private:
    SimDisk* disk_;
    std::string cluster_id_ = "cluster-a";
    std::vector<std::string> pieces_;
    std::unique_ptr<StepKit> kit_;
};

}  // namespace sandstore
