// Power cuts at random moments on a disk that tears, loses and reorders what was not synced.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/sim/sim_disk.h"
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class CrashingNode {
 public:
    explicit CrashingNode(uint64_t seed) : disk_(seed), random_(seed, 11) {}

    void boot() {
        kit_ = std::make_unique<StepKit>(std::make_unique<ChunkService>(), LocalAddress{pb::ACTOR_CHUNKS, 0});
        pb::StartChunks start;
        start.set_node_id("node-1");
        start.set_chunk_bytes_max(1 << 20);
        start.set_volume_bytes(512 * 1024);
        start.set_vacuum_percent(30);
        kit_->deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
        while (step_disk()) {
        }
        ASSERT_FALSE(kit_->stopped());
    }

    // Sends puts and lets the disk work, in random order, until the power fails.
    void work_until_power_fails() {
        disk_.power_off_after(random_.below(60));
        std::map<uint64_t, ChunkKey> open;
        while (!disk_.powered_off() && !kit_->stopped()) {
            if (random_.below(8) == 0 && !stored_.empty()) {
                remove_one();
            } else if (random_.below(3) > 0) {
                const ChunkKey key{1, next_number_++};
                sent_[key] = sample_bytes(1 + random_.below(random_.below(2) ? 200'000 : 5'000), key.number);
                const uint64_t id =
                    kit_->request(message_of(put_of(key, sent_[key]), Payload(sent_[key])), {"~1", pb::ACTOR_CLIENT});
                open[id] = key;
            } else {
                step_disk();
            }
            while (std::optional<Message> answer = kit_->try_take(Body::kChunkPutReply)) {
                const ChunkKey key = open.at((*answer)->reply_to());
                if ((*answer)->chunk_put_reply().status().code() == pb::STATUS_OK) stored_.push_back(key);
            }
            while (std::optional<Message> answer = kit_->try_take(Body::kStatusReply)) {
                if ((*answer)->status_reply().status().code() == pb::STATUS_OK) {
                    removed_.insert(removing_.at((*answer)->reply_to()));
                }
            }
        }
        disk_.crash();
    }

    // Everything acknowledged is there; whatever is there is whole.
    void check() {
        for (const auto& [key, data] : sent_) {
            pb::ChunkGet request;
            *request.mutable_id() = id_of(key);
            request.set_length(1 << 20);
            const uint64_t id = kit_->request(message_of(request), {"~1", pb::ACTOR_CLIENT});
            while (step_disk()) {
            }
            const Message answer = kit_->take_answer(id);
            const pb::StatusCode code = answer->chunk_get_reply().status().code();
            const bool acknowledged = std::ranges::count(stored_, key) > 0;
            EXPECT_TRUE(code == pb::STATUS_ENOENT || !removed_.contains(key)) << to_string(key) << " came back";
            EXPECT_TRUE(code == pb::STATUS_OK || (code == pb::STATUS_ENOENT && !acknowledged))
                << "chunk " << to_string(key) << " gives " << code << (acknowledged ? " but was acknowledged" : "");
            EXPECT_TRUE(code != pb::STATUS_OK || answer.payload.to_string() == data) << to_string(key);
        }
        for (const std::string& file : disk_.files()) {
            EXPECT_TRUE(file.ends_with(".volume") || file.ends_with(".index") || file == "chunks/probe") << file;
        }
    }

    size_t stored() const { return stored_.size(); }

 private:
    void remove_one() {
        const size_t chosen = random_.below(stored_.size());
        const ChunkKey key = stored_[chosen];
        stored_.erase(stored_.begin() + static_cast<ptrdiff_t>(chosen));
        pb::ChunkDelete request;
        *request.add_ids() = id_of(key);
        removing_[kit_->request(message_of(request), {pb::ACTOR_REPAIRER})] = key;
    }

    // Any of the requests that wait, as a pool of workers would.
    bool step_disk() {
        if (kit_->stopped()) return false;
        while (std::optional<Message> asked = kit_->try_take(Body::kDiskRequest)) waiting_.push_back(std::move(*asked));
        if (waiting_.empty()) return false;
        const size_t chosen = random_.below(waiting_.size());
        const Message asked = std::move(waiting_[chosen]);
        waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(chosen));
        Payload read;
        pb::DiskReply reply = disk_.execute(asked->disk_request(), asked.payload, &read);
        if (disk_.powered_off()) {
            waiting_.clear();
            return false;
        }
        kit_->answer(asked, message_of(std::move(reply), std::move(read)));
        return true;
    }

    SimDisk disk_;
    RandomStream random_;
    std::unique_ptr<StepKit> kit_;
    std::vector<Message> waiting_;
    std::map<ChunkKey, std::string> sent_;
    std::vector<ChunkKey> stored_;
    std::map<uint64_t, ChunkKey> removing_;
    std::set<ChunkKey> removed_;
    uint64_t next_number_ = 1;
};

TEST(ChunkCrash, whatever_was_acknowledged_survives_power_cuts_whole) {
    size_t stored = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        SCOPED_TRACE(str_cat("seed ", seed));
        CrashingNode node(seed);
        for (int life = 0; life < 3; life++) {
            node.boot();
            node.work_until_power_fails();
        }
        node.boot();
        node.check();
        stored += node.stored();
        if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(stored, 150u);  // Else the test would prove little.
}

}  // namespace
}  // namespace sandstore
