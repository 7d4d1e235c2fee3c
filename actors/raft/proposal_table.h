// Proposals whose outcome somebody waits for.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "messages/envelope.pb.h"
#include "runtime/actor.h"
#include "runtime/message_of.h"

namespace sandstore {

// In index order: entries are proposed, committed and applied in that order.
class ProposalTable {
 public:
    void add(uint64_t index, ReplyTo asker) { waiting_.push_back({index, std::move(asker)}); }
    bool empty() const { return waiting_.empty(); }
    size_t size() const { return waiting_.size(); }

    // Answers everything up to applied.last_index().
    void resolve(Context& context, pb::Applied* applied) {
        int next = 0;
        while (!waiting_.empty() && waiting_.front().index <= applied->last_index()) {
            const uint64_t index = waiting_.front().index;
            while (next < applied->results_size() && applied->results(next).index() < index) next++;
            pb::ProposeReply reply;
            reply.set_index(index);
            if (next < applied->results_size() && applied->results(next).index() == index) {
                reply.set_result(std::move(*applied->mutable_results(next)->mutable_result()));
            } else {
                *reply.mutable_status() =
                    make_status(pb::STATUS_INTERNAL, "applied, but the state machine gave no result");
            }
            context.reply(waiting_.front().asker, message_of(std::move(reply)));
            waiting_.pop_front();
        }
    }

    void fail_all(Context& context, pb::StatusCode code, std::string_view why) {
        for (const Waiting& waiting : waiting_) {
            pb::ProposeReply reply;
            reply.set_index(waiting.index);
            *reply.mutable_status() = make_status(code, why);
            context.reply(waiting.asker, message_of(std::move(reply)));
        }
        waiting_.clear();
    }

 private:
    struct Waiting {
        uint64_t index;
        ReplyTo asker;
    };
    std::deque<Waiting> waiting_;
};

}  // namespace sandstore
