// One request of the program that uses the client: it makes calls until it knows the answer, gives that exactly once,
// and is over, or leaves some afterwork. Every call ends by until_us, so every operation does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "client/calls.h"
#include "client/mutations.h"
#include "client/settings.h"
#include "runtime/message_of.h"

namespace sandstore {

// What operations work with; valid during one delivery.
struct Work {
    Context& context;
    Calls& calls;
    Mutations& mutations;
    const ClientSettings& settings;
    // How long chunks are to be: as configured, or less when the leader said so with the last places it gave.
    uint64_t& chunk_bytes_max;
};

class Operation {
 public:
    Operation(uint64_t id, ReplyTo asker, uint64_t until_us) : id_(id), asker_(std::move(asker)), until_us_(until_us) {}
    virtual ~Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    virtual void start(Work& work) = 0;
    virtual void on_call_ended(CallEnd end, Work& work) = 0;
    bool finished() const { return finished_; }
    // What goes on in the place of an operation that finished: answers instead, or does the afterwork. Null: nothing.
    std::unique_ptr<Operation> take_successor() { return std::move(successor_); }
    virtual uint64_t bytes_held() const { return 0; }
    // Answered already: nobody but the cluster waits for what it does.
    virtual bool is_afterwork() const { return false; }

 protected:
    void answer(Message reply, Work& work) {
        finished_ = true;
        work.context.reply(asker_, std::move(reply));
    }
    // Without an answer: that of an operation whose asker has had it.
    void end() { finished_ = true; }
    // After the answer: tells the cluster that these chunks never will be committed.
    void abandon(std::vector<pb::AbandonChunks::Chunk> chunks, const Work& work);
    // The successor answers instead, by the same time or earlier.
    void put_extents_together(const pb::FileRange& crowded, pb::ClientWriteReply reply, const Work& work);
    CallOwner owner(uint64_t tag) const { return {CallOwner::Kind::kOperation, id_, tag}; }
    uint64_t until_us() const { return until_us_; }
    bool time_left(const Work& work) const { return work.context.now_us() < until_us_; }
    // To the leader's file service, from `delay_us` from now on.
    void call_leader(uint64_t tag, Message message, Work& work, uint64_t delay_us = 0) {
        CallRequest request;
        request.owner = owner(tag);
        request.message = std::move(message);
        request.until_us = until_us_;
        request.delay_us = delay_us;
        work.calls.begin(std::move(request), work.context);
    }
    // A read of the namespace: to the leader, or with read_any_node to any server.
    void call_reader(uint64_t tag, pb::Query query, Work& work, uint64_t delay_us = 0) {
        CallRequest request;
        request.owner = owner(tag);
        if (work.settings.read_any_node) {
            request.target = CallRequest::Target::kEachInTurn;
            query.set_any_node(true);
        }
        request.message = message_of(std::move(query));
        request.until_us = until_us_;
        request.delay_us = delay_us;
        work.calls.begin(std::move(request), work.context);
    }
    // Once, to the chunk service of one server; `bytes` is how much travels, which takes time.
    void call_chunks(uint64_t tag, const std::string& server, Message message, uint64_t bytes, Work& work) {
        CallRequest request;
        request.owner = owner(tag);
        request.target = CallRequest::Target::kOneServer;
        request.actor = pb::ACTOR_CHUNKS;
        request.server = server;
        request.message = std::move(message);
        request.until_us = until_us_;
        request.attempt_timeout_us = work.settings.attempt_timeout_us + bytes / kSlowestBytesPerUs;
        work.calls.begin(std::move(request), work.context);
    }

 private:
    static constexpr uint64_t kSlowestBytesPerUs = 2;  // A slower server than 2 MB/s counts as hung.
    static constexpr uint64_t kAbandonMaxUs = 2'000'000;
    static constexpr uint64_t kMergeMaxUs = 2'000'000;  // So much later than it could, at most, does a write end.

    const uint64_t id_;
    const ReplyTo asker_;
    const uint64_t until_us_;
    bool finished_ = false;
    std::unique_ptr<Operation> successor_;
};

// Mutation and Query as the program gave them, and ClusterStatusRequest.
std::unique_ptr<Operation> make_mutation_operation(uint64_t id, ReplyTo asker, uint64_t until_us,
                                                   pb::Mutation mutation);
std::unique_ptr<Operation> make_query_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::Query query);
std::unique_ptr<Operation> make_status_operation(uint64_t id, ReplyTo asker, uint64_t until_us,
                                                 pb::ClusterStatusRequest request);
std::unique_ptr<Operation> make_write_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientWrite write,
                                                Payload bytes);
// What follows a write that was told of a crowded stripe: answers with the reply, whatever becomes of the extents.
std::unique_ptr<Operation> make_merge_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::FileRange crowded,
                                                pb::ClientWriteReply reply);
std::unique_ptr<Operation> make_abandon_operation(uint64_t id, uint64_t until_us,
                                                  std::vector<pb::AbandonChunks::Chunk> chunks);
std::unique_ptr<Operation> make_read_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientRead read);
std::unique_ptr<Operation> make_read_chunk_operation(uint64_t id, ReplyTo asker, uint64_t until_us,
                                                     pb::ClientReadChunk read);

inline void Operation::abandon(std::vector<pb::AbandonChunks::Chunk> chunks, const Work& work) {
    successor_ = make_abandon_operation(id_, work.context.now_us() + kAbandonMaxUs, std::move(chunks));
}

inline void Operation::put_extents_together(const pb::FileRange& crowded, pb::ClientWriteReply reply,
                                            const Work& work) {
    const uint64_t until_us = std::min(until_us_, work.context.now_us() + kMergeMaxUs);
    successor_ = make_merge_operation(id_, asker_, until_us, crowded, std::move(reply));
    finished_ = true;
}

// The end of a mutation in words: what a program must know is whether it may have happened.
pb::Status mutation_status(const CallEnd& end);

}  // namespace sandstore
