// Many small writes through the client's actor, against a real namespace and chunks in memory: the file stays in few
// pieces, and its bytes are those that were written, whoever else writes meanwhile and whatever fails.
#include <functional>
#include <optional>

#include "actors/fs/file_state.h"
#include "actors/fs/limits.h"
#include "runtime/crc32c.h"
#include "runtime/random.h"
#include "tests/unit/client/client_kit.h"

namespace sandstore {
namespace {

constexpr uint64_t kTimeUs = 1'700'000'000'000'000;
// Before it is told of a crowded stripe, and until it is told again.
constexpr uint64_t kExtentsExpected = kCrowdedExtents + 2 * kCrowdedReminder;

class SmallWritesTest : public testing::Test {
 protected:
    SmallWritesTest() : kit_(client_kit({"a:1"}, kStripeBytes)) {
        pb::StartStateMachine settings;
        settings.set_session_timeout_us(3'600'000'000);
        settings.set_sessions_max(10);
        settings.set_chunk_commit_window_us(3'600'000'000);
        state_.configure(settings);
        pb::Mutation mutation;
        mutation.mutable_open_session();
        other_session_ = apply(mutation).session_id();
        mutation.set_session_id(other_session_);
        mutation.set_sequence(++other_sequence_);
        *mutation.mutable_create_file()->mutable_at() = at("/f");
        EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK);
    }

    void write(std::string bytes, uint64_t offset, bool append) {
        pb::ClientWrite write;
        *write.mutable_at() = at("/f");
        write.set_offset(append ? 0 : offset);
        write.set_append(append);
        put(bytes, offset);
        const uint64_t request = kit_->request(message_of(write, Payload(std::move(bytes))), kProgram);
        serve();
        ASSERT_EQ(kit_->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
        kit_->expect_nothing();
    }
    std::string read() {
        pb::ClientRead read;
        *read.mutable_at() = at("/f");
        read.set_length(model_.size() + 1);
        const uint64_t request = kit_->request(message_of(read), kProgram);
        serve();
        return kit_->take_answer(request).payload.to_string();
    }
    uint64_t extents() const { return state_.files().extents().size(); }

    // Somebody else's write, past the client.
    void write_past_the_client(std::string bytes, uint64_t offset) {
        put(bytes, offset);
        pb::Mutation mutation;
        mutation.set_session_id(other_session_);
        mutation.set_sequence(++other_sequence_);
        pb::CommitExtents& commit = *mutation.mutable_commit_extents();
        *commit.mutable_at() = at("/f");
        commit.set_offset(offset);
        pb::Extent& extent = *commit.add_extents();
        extent.set_length(bytes.size());
        extent.set_chunk_length(bytes.size());
        *extent.mutable_chunk() = next_place();
        chunks_[extent.chunk().id().number()] = bytes;
        EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK);
    }

    std::string model_;
    std::unique_ptr<StepKit> kit_;
    std::function<void()> before_replacing_ = [] {};
    pb::Envelope::BodyCase refused_ = pb::Envelope::BODY_NOT_SET;  // Answered with a failure, from the moment on when
    bool merging_ = false;                                         // extents are put together.
    uint64_t replaced_ = 0;
    uint64_t bytes_put_ = 0;

 private:
    void put(const std::string& bytes, uint64_t offset) {
        if (model_.size() < offset + bytes.size()) model_.resize(offset + bytes.size());
        model_.replace(offset, bytes.size(), bytes);
    }
    pb::MutationResult apply(const pb::Mutation& mutation) {
        pb::Command command;
        command.set_time_us(kTimeUs);
        *command.mutable_mutation() = mutation;
        pb::MutationResult result;
        EXPECT_TRUE(result.ParseFromString(state_.apply(state_.applied_index() + 1, command.SerializeAsString())));
        return result;
    }
    pb::ChunkPlace next_place() {
        pb::ChunkPlace chosen = place(++last_chunk_, {"a:1", "b:1", "c:1"});
        chosen.set_allocated_at_us(kTimeUs);
        return chosen;
    }

    void serve() {
        merging_ = false;
        for (bool any = true; any;) {
            any = false;
            for (const auto body : {pb::Envelope::kMutation, pb::Envelope::kQuery, pb::Envelope::kAllocateChunks,
                                    pb::Envelope::kChunkPut, pb::Envelope::kChunkGet}) {
                while (std::optional<Message> sent = kit_->try_take(body)) {
                    any = true;
                    Message reply = merging_ && body == refused_
                                        ? request_failed(pb::STATUS_CORRUPTED, "as the test wants it")
                                        : reply_to_request(*sent);
                    kit_->answer(*sent, std::move(reply));
                }
            }
        }
    }
    Message reply_to_request(const Message& request) {
        if (request->has_mutation()) {
            const bool replacing = request->mutation().has_replace_extents();
            if (replacing) before_replacing_();
            const pb::MutationResult result = apply(request->mutation());
            replaced_ += replacing && result.status().code() == pb::STATUS_OK;
            merging_ = merging_ || result.has_crowded();
            return message_of(result);
        }
        if (request->has_query()) {
            pb::QueryResult result;
            state_.answer(request->query(), &result);
            for (pb::Extent& extent : *result.mutable_extents()) {
                for (const char* address : {"a:1", "b:1", "c:1"}) extent.mutable_chunk()->add_addresses(address);
            }
            return message_of(result);
        }
        if (request->has_allocate_chunks()) {
            pb::AllocateChunksReply reply;
            for (uint32_t i = 0; i < request->allocate_chunks().count(); ++i) *reply.add_places() = next_place();
            return message_of(reply);
        }
        if (request->has_chunk_put()) {
            chunks_[request->chunk_put().place().id().number()] = request.payload.to_string();
            bytes_put_ += request.payload.size();
            pb::ChunkPutReply reply;
            for (const char* node : {"node-a", "node-b", "node-c"}) reply.add_stored_on(node);
            return message_of(reply);
        }
        const pb::ChunkGet& get = request->chunk_get();
        Payload bytes(chunks_.at(get.id().number()).substr(get.offset(), get.length()));
        pb::ChunkGetReply reply;
        reply.set_payload_crc32c(crc32c(bytes));
        return message_of(reply, std::move(bytes));
    }

    FileState state_;
    uint64_t other_session_ = 0;
    uint64_t other_sequence_ = 0;
    uint64_t last_chunk_ = 0;
    std::map<uint64_t, std::string> chunks_;
};

TEST_F(SmallWritesTest, appends_leave_a_file_in_few_pieces_and_are_not_written_many_times) {
    for (unsigned i = 0; i < 4000; ++i) {
        write(pattern(1000, i), model_.size(), true);
        ASSERT_LE(extents(), kExtentsExpected) << "after append " << i;
    }
    EXPECT_GT(replaced_, 0u);
    EXPECT_EQ(read(), model_);
    EXPECT_LT(bytes_put_, 10 * model_.size());
}

TEST_F(SmallWritesTest, overwrites_all_over_a_file_leave_it_in_few_pieces) {
    write(pattern(1 << 20), 0, false);
    RandomStream random(1, 1);
    for (unsigned i = 0; i < 3000; ++i) {
        const uint64_t length = 1 + random.below(500);
        write(pattern(length, i), random.below(model_.size() - length), false);
        ASSERT_LE(extents(), kExtentsExpected) << "after overwrite " << i;
    }
    EXPECT_GT(replaced_, 0u);
    EXPECT_EQ(read(), model_);
}

TEST_F(SmallWritesTest, holes_between_small_pieces_still_read_as_zeros) {
    RandomStream random(2, 1);
    for (unsigned i = 0; i < 1000; ++i) {
        write(pattern(10, i), random.below(100'000), false);
        ASSERT_LE(extents(), kExtentsExpected);
    }
    EXPECT_GT(replaced_, 0u);
    EXPECT_EQ(read(), model_);
}

TEST_F(SmallWritesTest, what_somebody_writes_meanwhile_is_not_undone) {
    RandomStream random(3, 1);
    uint64_t crossed = 0;
    before_replacing_ = [&] {
        if (random.below(2) == 0) return;
        ++crossed;
        write_past_the_client(pattern(7, static_cast<unsigned>(crossed)), random.below(model_.size() - 7));
    };
    for (unsigned i = 0; i < 4000; ++i) write(pattern(100, i), model_.size(), true);
    EXPECT_GT(crossed, 10u);
    EXPECT_GT(replaced_, 0u);
    EXPECT_EQ(read(), model_);
}

TEST_F(SmallWritesTest, a_write_has_succeeded_though_its_extents_cannot_be_put_together) {
    for (const auto body :
         {pb::Envelope::kQuery, pb::Envelope::kAllocateChunks, pb::Envelope::kChunkPut, pb::Envelope::kChunkGet}) {
        refused_ = body;
        for (unsigned i = 0; i < 300; ++i) write(pattern(10, i), model_.size(), true);
        EXPECT_EQ(replaced_, 0u);
    }
    EXPECT_EQ(extents(), 1200u);
    refused_ = pb::Envelope::BODY_NOT_SET;
    for (unsigned i = 0; i < 2 * kCrowdedReminder; ++i) write(pattern(10, i), model_.size(), true);
    EXPECT_GT(replaced_, 0u);
    EXPECT_LE(extents(), kExtentsExpected);
    EXPECT_EQ(read(), model_);
}

}  // namespace
}  // namespace sandstore
