#include "actors/fs/state_machine.h"

#include "actors/log/record.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"

namespace sandstore {

void StateMachine::receive(Message message, Context& context) {
    // Nobody outside this node has business here: clients and peers go through the file service.
    if (!message->from_node().empty()) return context.unexpected(message);
    switch (message->body_case()) {
        case pb::Envelope::kStartStateMachine:
            return on_start_state_machine(message->start_state_machine(), context);
        case pb::Envelope::kApply:
            return on_apply(std::move(message), context);
        case pb::Envelope::kQuery:
            return on_query(std::move(message), context);
        case pb::Envelope::kStateHashRequest:
            return on_state_hash_request(std::move(message), context);
        case pb::Envelope::kTakeSnapshot:
            return on_take_snapshot(message, context);
        case pb::Envelope::kReadState:
            return on_read_state(message, context);
        case pb::Envelope::kDropSnapshot:
            return drop_frozen(context);
        case pb::Envelope::kRestoreSnapshot:
            return on_restore_snapshot(message, context);
        case pb::Envelope::kSnapshotSection:
            return on_snapshot_section(message, context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(message, context);
        case pb::Envelope::kFlush:
            return on_flush(context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(context);
        default:
            return context.unexpected(message);
    }
}

void StateMachine::on_start_state_machine(const pb::StartStateMachine& start, Context& context) {
    SANDSTORE_CHECK(!started_, "the state machine was started twice");
    started_ = true;
    settings_ = start;
    state_.configure(start);
    pb::StateMachineReady ready;
    ready.set_applied_index(state_.applied_index());
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(ready));
}

void StateMachine::on_apply(Message message, Context& context) {
    const pb::Apply& apply = message->apply();
    SANDSTORE_CHECK(started_, "entries before the start");
    SANDSTORE_CHECK(restoring_ == nullptr, "entries while the snapshot at ", restoring_->meta.index(), " is restored");
    SANDSTORE_CHECK(apply.first_index() == state_.applied_index() + 1, "first_index=", apply.first_index(),
                    " applied=", state_.applied_index());
    pb::Applied applied;
    pb::ChunksCollected collected;
    const auto note_collected = [&] {
        for (const ChunkKey& key : state_.files().collected()) fill_chunk_id(key, collected.add_ids());
    };
    RecordReader reader(std::move(message.payload));
    Record record;
    uint32_t records = 0;
    while (reader.next(&record)) {
        ++records;
        if (record.type != RecordType::kCommand) {
            state_.skip(record.index);
            note_collected();
            continue;
        }
        const Payload command = record.data.flat();
        std::string result = state_.apply(record.index, command.flat_view(), record.term);
        note_collected();
        if (!apply.want_results()) continue;
        pb::ApplyResult* added = applied.add_results();
        added->set_index(record.index);
        added->set_result(std::move(result));
    }
    SANDSTORE_CHECK(!reader.damaged(), "in a committed entry after ", state_.applied_index(), ": ", reader.problem());
    SANDSTORE_CHECK(records == apply.record_count(), "records=", records, " announced=", apply.record_count());
    applied.set_last_index(state_.applied_index());
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(std::move(applied)));
    if (!collected.ids().empty()) {
        context.send({pb::ACTOR_REPAIRER, context.self().instance}, message_of(std::move(collected)));
    }
    tell_unfinished(context);
    answer_held(context);
}

void StateMachine::on_query(Message message, Context& context) {
    const uint64_t minimum_index = message->query().minimum_index();
    if (!ready_for(minimum_index)) return hold(minimum_index, std::move(message), context);
    answer(message, reply_to(message), context);
}

void StateMachine::on_state_hash_request(Message message, Context& context) {
    const uint64_t minimum_index = message->state_hash_request().minimum_index();
    if (!ready_for(minimum_index)) return hold(minimum_index, std::move(message), context);
    answer(message, reply_to(message), context);
}

void StateMachine::hold(uint64_t minimum_index, Message request, Context& context) {
    const ReplyTo asker = reply_to(request);
    if (!started_) return refuse(request, asker, pb::STATUS_UNAVAILABLE, "The node is still starting", context);
    if (held_.size() >= kHeldMax) drop_overdue(context);
    if (held_.size() >= kHeldMax) {
        return refuse(request, asker, pb::STATUS_RESOURCE_EXHAUSTED,
                      "Too many reads wait for the log to be applied: try again later", context);
    }
    held_.emplace(minimum_index, Held{std::move(request), asker});
}

void StateMachine::answer(const Message& request, const ReplyTo& asker, Context& context) {
    if (request->has_query()) {
        if (request->query().has_export_state()) return answer_export(request->query().export_state(), asker, context);
        Message reply;
        state_.answer(request->query(), reply->mutable_query_result());
        return context.reply(asker, std::move(reply));
    }
    pb::StateHash hash;
    hash.set_applied_index(state_.applied_index());
    hash.set_hash(state_.hash());
    context.reply(asker, message_of(hash));
}

void StateMachine::refuse(const Message& request, const ReplyTo& asker, pb::StatusCode code, std::string_view why,
                          Context& context) {
    if (!request->has_query()) return context.reply(asker, request_failed(code, why));
    Message reply;
    fill_status({code, why}, reply->mutable_query_result()->mutable_status());
    context.reply(asker, std::move(reply));
}

void StateMachine::answer_held(Context& context) {
    while (!held_.empty() && held_.begin()->first <= state_.applied_index()) {
        const auto first = held_.extract(held_.begin());
        answer(first.mapped().request, first.mapped().asker, context);
    }
}

// Only commands bring the state on: somebody has to see to it that there are some.
void StateMachine::tell_unfinished(Context& context) {
    const uint64_t due_us = state_.files().work_due_us();
    if (due_us == told_due_us_) return;
    told_due_us_ = due_us;
    pb::UnfinishedWork work;
    work.set_clock_us(state_.clock_us());
    work.set_due_us(due_us);
    context.send({pb::ACTOR_FILES, context.self().instance}, message_of(work));
}

// The askers of these have heard of their deadline already; the room is needed.
void StateMachine::drop_overdue(Context& context) {
    for (auto at = held_.begin(); at != held_.end();) {
        const ReplyTo& asker = at->second.asker;
        if (asker.deadline_us == 0 || asker.deadline_us > context.now_us()) {
            ++at;
            continue;
        }
        refuse(at->second.request, asker, pb::STATUS_DEADLINE_EXCEEDED, "The log was not applied in time", context);
        at = held_.erase(at);
    }
}

}  // namespace sandstore
