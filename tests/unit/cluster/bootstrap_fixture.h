// A Bootstrap on its own, with what its node's assembly and its disk say to it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/cluster/bootstrap.h"
#include "actors/cluster/identity.h"
#include "actors/cluster/member_record.h"
#include "runtime/message_of.h"
#include "tests/kit/step_kit.h"

namespace sandstore {

inline constexpr uint64_t kDuplicateWaitUs = 300'000;
inline constexpr std::string_view kDerivedId = "static-0123456789abcdef";
inline constexpr uint64_t kStorage = 0x1234;
inline constexpr std::string_view kThreePeers = "node-1=a:1,node-2=b:2,node-3=c:3";

class BootstrapTest : public testing::Test {
 protected:
    BootstrapTest() : kit(std::make_unique<Bootstrap>(), {pb::ACTOR_BOOTSTRAP}) {
        node.set_node_id("node-1");
        node.set_instance_id("instance-a");
    }

    void use_peers(std::string_view peers) {
        std::string error;
        const auto members = parse_peers(peers, &error);
        ASSERT_TRUE(members) << error;
        node.mutable_static_members()->Add(members->begin(), members->end());
    }

    static pb::ClusterView view_of(std::string_view peers, std::string_view cluster_id = "",
                                   std::vector<std::string> bootstrap = {}) {
        pb::ClusterView view;
        std::string error;
        const auto members = parse_peers(peers, &error);
        EXPECT_TRUE(members) << error;
        view.mutable_members()->Add(members->begin(), members->end());
        view.set_cluster_id(std::string(cluster_id));
        for (const std::string& id : bootstrap) view.add_bootstrap_members(id);
        return view;
    }

    // The assembly's part: everything up to the read of identity.json, which is answered with `file`.
    void start(std::optional<std::string> file = std::nullopt, int error = pb::STATUS_ENOENT) {
        pb::StartRaft raft;
        raft.set_heartbeat_interval_ms(30);
        pb::StartFiles files;
        files.set_copies(3);
        kit.deliver(message_of(pb::StartRepairer()));
        kit.deliver(message_of(pb::StartMover()));
        kit.deliver(message_of(raft));
        kit.deliver(message_of(pb::StartStateMachine()));
        kit.deliver(message_of(files));
        kit.deliver(message_of(pb::StartSnapshots()));
        kit.deliver(message_of(pb::StartLog()));
        kit.deliver(message_of(pb::StartChunks()));
        kit.deliver(message_of(pb::StartStatus()));
        kit.expect_nothing();
        kit.deliver(message_of(node));
        if (kit.stopped()) return;
        EXPECT_EQ(kit.take(pb::Envelope::kStartStatus)->to_actor(), pb::ACTOR_STATUS);
        answer_identity(std::move(file), error);
    }
    void answer_identity(std::optional<std::string> file, int error = pb::STATUS_ENOENT) {
        Message read = kit.take(pb::Envelope::kDiskRequest);
        EXPECT_EQ(read->disk_request().operations(0).read().file(), "identity.json");
        pb::DiskReply reply;
        if (file) {
            reply.add_read_lengths(file->size());
            kit.answer(read, message_of(reply, Payload(*file)));
        } else {
            reply.set_error(error);
            kit.answer(read, message_of(reply));
        }
    }

    static std::string identity(std::string_view cluster = kDerivedId, std::string_view node_id = "node-1",
                                std::vector<std::string> voters = {"node-1", "node-2", "node-3"}) {
        pb::Identity identity;
        identity.set_cluster_id(std::string(cluster));
        identity.set_node_id(std::string(node_id));
        identity.set_storage(kStorage);
        for (const std::string& voter : voters) identity.add_bootstrap_voters(voter);
        return identity_text(identity);
    }

    pb::Identity take_identity_write() {
        Message write = kit.take(pb::Envelope::kDiskRequest);
        EXPECT_EQ(write->disk_request().operations(0).replace().file(), "identity.json");
        std::string error;
        const auto written = parse_identity(write.payload.to_string(), &error);
        EXPECT_TRUE(written) << error;
        last_write = std::move(write);
        return written.value_or(pb::Identity());
    }
    // A node that was here before writes down that it starts.
    void note_start() {
        EXPECT_FALSE(kit.has(pb::Envelope::kStartTransport)) << "a start is durable before anybody hears of it";
        EXPECT_GT(take_identity_write().starts_size(), 0);
        write_done();
    }
    void write_done() { kit.answer(last_write, message_of(pb::DiskReply())); }

    // Nobody else runs under this name for so long; then it looks at whose the chunks are.
    void answer_chunk_mark(std::optional<std::string> mark, int error = 0) {
        const Message read = kit.take(pb::Envelope::kDiskRequest);
        EXPECT_EQ(read->to_actor(), pb::PORT_CHUNK_DISK);
        EXPECT_EQ(read->disk_request().operations(0).read().file(), kChunkMarkFile);
        pb::DiskReply reply;
        if (mark) reply.add_read_lengths(mark->size());
        if (!mark) reply.set_error(error != 0 ? error : pb::STATUS_ENOENT);
        kit.answer(read, message_of(reply, Payload(mark.value_or(""))));
    }
    ChunkMark take_chunk_mark_write() {
        const Message write = kit.take(pb::Envelope::kDiskRequest);
        EXPECT_EQ(write->to_actor(), pb::PORT_CHUNK_DISK);
        EXPECT_EQ(write->disk_request().operations(1).replace().file(), kChunkMarkFile);
        std::string error;
        const auto mark = parse_chunk_mark(write.payload.to_string(), &error);
        EXPECT_TRUE(mark) << error;
        kit.answer(write, message_of(pb::DiskReply()));
        return mark.value_or(ChunkMark());
    }
    void begin_with_new_chunks(uint64_t wait_us = kDuplicateWaitUs) {
        kit.advance(wait_us);
        answer_chunk_mark(std::nullopt);
        take_chunk_mark_write();
    }

    std::string last_progress() {
        std::string waiting_for = "(nothing said)";
        while (auto message = kit.try_take(pb::Envelope::kBootProgress)) {
            if ((*message)->to_actor() == pb::ACTOR_STATUS) waiting_for = (*message)->boot_progress().waiting_for();
        }
        return waiting_for;
    }

    void expect_refused(std::string_view sentence) {
        ASSERT_TRUE(kit.stopped()) << "expected: " << sentence;
        EXPECT_EQ(*kit.stopped(), sentence);
        EXPECT_FALSE(kit.has(pb::Envelope::kStartTransport));
        EXPECT_FALSE(kit.has(pb::Envelope::kStartLog));
    }
    void expect_waiting(std::string_view what) {
        EXPECT_EQ(last_progress(), what);
        EXPECT_FALSE(kit.stopped());
        EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
        EXPECT_FALSE(kit.has(pb::Envelope::kStartTransport));
    }

    StepKit kit;
    pb::StartNode node;
    Message last_write;
};

}  // namespace sandstore
