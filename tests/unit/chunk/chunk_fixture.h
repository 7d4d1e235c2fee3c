// A ChunkService on a disk in memory, node-1 of three, stepped by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "actors/chunk/chunk_file.h"
#include "actors/chunk/chunk_service.h"
#include "actors/chunk/volume_format.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"
#include "tests/unit/chunk/memory_disk.h"

namespace sandstore {

// Bytes that differ from place to place and from seed to seed.
inline std::string sample_bytes(size_t length, uint64_t seed = 1) {
    RandomStream random(seed, 7);
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    return bytes;
}

inline pb::ChunkPlace place_of(ChunkKey key, std::vector<std::string> replicas = {"node-1", "node-2", "node-3"},
                               uint32_t needed = 2) {
    pb::ChunkPlace place;
    *place.mutable_id() = id_of(key);
    place.mutable_replicas()->Assign(replicas.begin(), replicas.end());
    place.set_acknowledgements_needed(needed);
    place.set_allocated_at_us(1'600'000'000'000'000 + key.number);
    return place;
}

inline pb::ChunkPut put_of(ChunkKey key, const std::string& data, bool forward = false) {
    pb::ChunkPut put;
    *put.mutable_place() = place_of(key);
    for (const uint32_t crc : block_checksums(Payload(data))) put.mutable_checksums()->add_block_crc32c(crc);
    put.set_forward(forward);
    return put;
}

class ChunkServiceTest : public testing::Test {
 protected:
    // Where a chunk's record is on the disk: the newest one, when there are several.
    struct Record {
        std::string file;
        size_t offset = 0;
        size_t head_bytes = 0;
        size_t bytes = 0;
        size_t data() const { return offset + head_bytes; }
    };
    static constexpr uint64_t kVolumeBytes = 1024 * 1024;
    static constexpr uint64_t kChunkBytesMax = 8 * 1024 * 1024;
    static constexpr ChunkKey kKey{2, 31};
    const Address client_{"~1", pb::ACTOR_CLIENT};
    const Address repairer_{pb::ACTOR_REPAIRER};

    void SetUp() override { start(); }

    // A new process on the same disk; the one before was killed.
    void boot() {
        kit = std::make_unique<StepKit>(std::make_unique<ChunkService>(), LocalAddress{pb::ACTOR_CHUNKS, 0});
        pb::StartChunks start;
        start.set_node_id("node-1");
        start.set_chunk_bytes_max(kChunkBytesMax);
        start.set_stats_interval_ms(5000);
        start.set_volume_bytes(kVolumeBytes);
        start.set_vacuum_percent(vacuum_percent);
        kit->deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
    }

    // The process ends as it should.
    void stop() {
        const uint64_t id = kit->request(message_of(pb::Drain()), {pb::ACTOR_BOOTSTRAP});
        run_disk();
        EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    }

    Record record_of(ChunkKey key) {
        Record found;
        for (uint32_t number = 1; number < 100; number++) {
            const std::string file = volume_file(number);
            if (!disk.has(file)) continue;
            const std::string_view bytes = disk.bytes_of(file);
            const DecodedVolumeHeader volume = decode_volume_header(bytes, number);
            for (size_t at = kVolumeHeaderBytes; at < bytes.size(); at += kRecordAlignment) {
                const auto header = decode_record_header(bytes.substr(at), volume.header.salt, at);
                if (!header || header->key != key) continue;
                found = {file, at, record_head_bytes(header->length), record_bytes(header->length)};
            }
        }
        EXPECT_NE(found.bytes, 0u) << "no record of chunk " << to_string(key);
        return found;
    }

    // A chunk as it was stored before there were volumes.
    void put_old_file(ChunkKey key, const std::string& data, bool set_aside = false) {
        ChunkHead head;
        head.key = key;
        head.length = data.size();
        head.allocated_at_us = place_of(key).allocated_at_us();
        head.replicas = {"node-1", "node-2", "node-3"};
        head.block_crc32c = block_checksums(Payload(data));
        disk.put_file(set_aside ? damaged_chunk_path(key) : chunk_path(key), encode_head(head) + data);
    }

    void start() {
        boot();
        run_disk();
        kit->drop_effects();
    }

    bool run_disk_once() {
        std::optional<Message> asked = kit->try_take(pb::Envelope::kDiskRequest);
        if (!asked) return false;
        answer_disk(*asked);
        return true;
    }

    void answer_disk(const Message& asked) {
        EXPECT_EQ(asked->to_actor(), pb::PORT_CHUNK_DISK);
        Payload read;
        pb::DiskReply reply = disk.execute(asked->disk_request(), asked.payload, &read);
        kit->answer(asked, message_of(std::move(reply), std::move(read)));
    }

    void run_disk() {
        while (run_disk_once()) {
        }
    }

    uint64_t send_put(pb::ChunkPut put, const std::string& data, Address from) {
        return kit->request(message_of(std::move(put), Payload(data)), from);
    }

    // Stores a chunk as another node would ask for it.
    void store(ChunkKey key, const std::string& data) {
        const uint64_t id = send_put(put_of(key, data), data, {"node-2", pb::ACTOR_CHUNKS});
        run_disk();
        ASSERT_EQ(put_answer(id).status().code(), pb::STATUS_OK);
    }

    pb::ChunkPutReply put_answer(uint64_t id) { return kit->take_answer(id)->chunk_put_reply(); }
    pb::Status status_answer(uint64_t id) { return kit->take_answer(id)->status_reply().status(); }

    Message get(ChunkKey key, uint64_t offset, uint64_t length) {
        pb::ChunkGet request;
        *request.mutable_id() = id_of(key);
        request.set_offset(offset);
        request.set_length(length);
        const uint64_t id = kit->request(message_of(request), client_);
        run_disk();
        return kit->take_answer(id);
    }

    pb::StatusCode get_code(ChunkKey key) { return get(key, 0, kChunkBytesMax)->chunk_get_reply().status().code(); }

    pb::ChunkListReply list(pb::ChunkList request = {}) {
        const uint64_t id = kit->request(message_of(request), repairer_);
        run_disk();
        return kit->take_answer(id)->chunk_list_reply();
    }

    pb::ChunkPutReply peer_ok(const std::string& node_id) {
        pb::ChunkPutReply reply;
        reply.add_stored_on(node_id);
        return reply;
    }

    uint32_t vacuum_percent = 0;
    MemoryDisk disk;
    std::unique_ptr<StepKit> kit;
};

}  // namespace sandstore
