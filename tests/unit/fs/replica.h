// A state machine and the entries that it is sent, for tests through its messages.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "actors/fs/file_state_machine.h"
#include "actors/log/record.h"
#include "random_commands.h"
#include "runtime/message_of.h"
#include "tests/kit/step_kit.h"

namespace sandstore {

inline pb::Query stat_query(std::string_view path, uint64_t minimum_index) {
    pb::Query query;
    query.set_minimum_index(minimum_index);
    *query.mutable_stat()->mutable_at() = at(path);
    return query;
}

inline pb::StateHashRequest hash_request(uint64_t minimum_index) {
    pb::StateHashRequest request;
    request.set_minimum_index(minimum_index);
    return request;
}

class Replica {
 public:
    Replica() : kit_(make_file_state_machine(), {pb::ACTOR_STATE_MACHINE}) {}

    void start() { kit_.deliver(message_of(test_settings()), pb::ACTOR_BOOTSTRAP); }

    void add(RecordType type, std::string_view data = {}) {
        append_record(&records_, 1, ++last_index_, type, data);
        ++waiting_;
    }
    void add(const pb::Mutation& mutation, uint64_t time_us = kStartUs) {
        pb::Command command;
        command.set_time_us(time_us);
        *command.mutable_mutation() = mutation;
        add(RecordType::kCommand, command.SerializeAsString());
    }
    pb::Applied apply(bool want_results = true) {
        send_apply(want_results);
        while (!kit_.has(pb::Envelope::kApplied)) {
            kit_.deliver(kit_.take(pb::Envelope::kFlush), pb::ACTOR_STATE_MACHINE);
        }
        unfinished_ = kit_.try_take(pb::Envelope::kUnfinishedWork);
        return kit_.take(pb::Envelope::kApplied)->applied();
    }
    void send_apply(bool want_results = true) {
        pb::Apply apply;
        apply.set_first_index(last_index_ - waiting_ + 1);
        apply.set_record_count(waiting_);
        apply.set_want_results(want_results);
        kit_.deliver(message_of(apply, Payload(std::move(records_))), pb::ACTOR_RAFT);
        records_.clear();
        waiting_ = 0;
    }
    // The next entry comes after this index.
    void rewind_to(uint64_t index) {
        last_index_ = index;
        waiting_ = 0;
        records_.clear();
    }
    uint64_t hash() {
        const uint64_t id = kit_.request(message_of(hash_request(0)), pb::ACTOR_STATUS);
        return kit_.take_answer(id)->state_hash().hash();
    }
    pb::MutationResult result(const pb::Applied& applied, int i) {
        pb::MutationResult result;
        EXPECT_TRUE(result.ParseFromString(applied.results(i).result()));
        return result;
    }

    StepKit kit_;
    std::optional<Message> unfinished_;  // What the last batch made it tell.
    std::string records_;
    uint64_t last_index_ = 0;
    uint32_t waiting_ = 0;
};

inline pb::Mutation open_session() {
    pb::Mutation mutation;
    mutation.mutable_open_session();
    return mutation;
}

inline pb::Mutation make_directory(uint64_t session, uint64_t sequence, std::string_view path) {
    pb::Mutation mutation;
    mutation.set_session_id(session);
    mutation.set_sequence(sequence);
    *mutation.mutable_make_directory()->mutable_at() = at(path);
    return mutation;
}

}  // namespace sandstore
