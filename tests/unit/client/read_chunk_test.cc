// ClientReadChunk through the client's actor.
#include "tests/unit/client/client_kit.h"

namespace sandstore {
namespace {

class ClientReadChunkTest : public testing::Test {
 protected:
    uint64_t ask(std::vector<std::string> addresses, uint64_t length = 300) {
        pb::ClientReadChunk read;
        *read.mutable_place() = place(7, std::move(addresses));
        read.set_length(length);
        return kit_->request(message_of(read), kProgram, 10 * kSecond);
    }
    void fail(const Message& get, pb::StatusCode code) {
        pb::ChunkGetReply reply;
        reply.mutable_status()->set_code(code);
        reply.mutable_status()->set_message("no");
        kit_->answer(get, message_of(reply));
    }
    void serve(const Message& get, const std::string& bytes, uint32_t crc_error = 0) {
        pb::ChunkGetReply reply;
        reply.set_chunk_length(bytes.size());
        reply.set_payload_crc32c(crc32c(Payload::copy_of(bytes)) ^ crc_error);
        kit_->answer(get, message_of(reply, Payload::copy_of(bytes)));
    }
    Message take_get() { return kit_->take(pb::Envelope::kChunkGet); }
    pb::StatusCode code_of(uint64_t request, std::string* bytes = nullptr) {
        const Message answer = kit_->take_answer(request);
        if (bytes != nullptr) *bytes = answer.payload.to_string();
        return answer->client_read_chunk_reply().status().code();
    }

    std::unique_ptr<StepKit> kit_ = client_kit();
};

TEST_F(ClientReadChunkTest, the_whole_chunk_comes_from_one_replica) {
    const uint64_t request = ask({"b:1", "c:1"});
    const Message get = take_get();
    EXPECT_EQ(get->chunk_get().id().number(), 7u);
    EXPECT_EQ(get->chunk_get().length(), 300u);
    serve(get, pattern(300));
    std::string bytes;
    EXPECT_EQ(code_of(request, &bytes), pb::STATUS_OK);
    EXPECT_EQ(bytes, pattern(300));
    kit_->expect_nothing();
}

TEST_F(ClientReadChunkTest, a_replica_without_it_with_a_damaged_one_or_with_other_bytes_is_passed_over) {
    const uint64_t request = ask({"b:1", "c:1", "d:1", "e:1"});
    fail(take_get(), pb::STATUS_CORRUPTED);
    serve(take_get(), pattern(300), 1);
    serve(take_get(), pattern(299));
    serve(take_get(), pattern(300));
    EXPECT_EQ(code_of(request), pb::STATUS_OK);
}

TEST_F(ClientReadChunkTest, what_is_damaged_here_and_there_is_put_together) {
    constexpr uint64_t kBlock = 65'536;
    const std::map<std::string, uint64_t> damaged_block{{"@b:1", 0}, {"@c:1", 5}};
    const std::string content = pattern(5 * kBlock + 17);
    const uint64_t request = ask({"b:1", "c:1"}, content.size());
    while (auto get = kit_->try_take(pb::Envelope::kChunkGet)) {
        const pb::ChunkGet& asked = (*get)->chunk_get();
        const uint64_t damage = damaged_block.at((*get)->to_node()) * kBlock;
        if (asked.offset() < damage + kBlock && damage < asked.offset() + asked.length()) {
            fail(*get, pb::STATUS_CORRUPTED);
            continue;
        }
        const std::string part = content.substr(asked.offset(), asked.length());
        pb::ChunkGetReply reply;
        reply.set_chunk_length(content.size());
        reply.set_payload_crc32c(crc32c(Payload::copy_of(part)));
        kit_->answer(*get, message_of(reply, Payload(part)));
    }
    std::string bytes;
    EXPECT_EQ(code_of(request, &bytes), pb::STATUS_OK);
    EXPECT_TRUE(bytes == content);
}

TEST_F(ClientReadChunkTest, when_no_replica_has_it_the_answer_is_an_error_at_once) {
    const uint64_t request = ask({"b:1", "c:1"});
    fail(take_get(), pb::STATUS_ENOENT);
    fail(take_get(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(code_of(request), pb::STATUS_EIO);
    EXPECT_EQ(code_of(ask({})), pb::STATUS_EIO);
    EXPECT_EQ(code_of(ask({"b:1"}, 0)), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(ClientReadChunkTest, a_replica_that_does_not_answer_now_is_asked_again_later) {
    const uint64_t request = ask({"b:1", "c:1"});
    fail(take_get(), pb::STATUS_UNAVAILABLE);
    fail(take_get(), pb::STATUS_ENOENT);
    kit_->expect_nothing();
    kit_->advance(kSecond);
    kit_->answer(kit_->take(pb::Envelope::kQuery), query_result());
    const Message first = take_get();
    fail(first, pb::STATUS_UNAVAILABLE);
    serve(take_get(), pattern(300));
    EXPECT_EQ(code_of(request), pb::STATUS_OK);
}

}  // namespace
}  // namespace sandstore
