#include "actors/state/state_machine.h"

#include "actors/state/chunk_table.h"
#include "actors/state/outcome.h"
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
        case pb::Envelope::kTakeSnapshot:
        case pb::Envelope::kRestoreSnapshot:
            return in_order(std::move(message), context);
        case pb::Envelope::kQuery:
            return on_query(std::move(message), context);
        case pb::Envelope::kStateHashRequest:
            return on_state_hash_request(std::move(message), context);
        case pb::Envelope::kReadState:
            return on_read_state(message, context);
        case pb::Envelope::kDropSnapshot:
            return drop_frozen(context);
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
    state_->configure(start);
    pb::StateMachineReady ready;
    ready.set_applied_index(state_->applied_index());
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(ready));
}

void StateMachine::in_order(Message message, Context& context) {
    const bool busy = batch_ != nullptr || !orders_.empty();
    orders_.push_back(std::move(message));
    if (!busy) work_off_orders(context);
}

void StateMachine::work_off_orders(Context& context) {
    for (uint64_t work = 0; work < kWorkPerTurn;) {
        if (batch_ != nullptr) {
            apply_some(&work, context);
            continue;
        }
        if (orders_.empty()) return;
        const Message order = std::move(orders_.front());
        orders_.pop_front();
        if (order->has_take_snapshot()) {
            on_take_snapshot(order, context);
        } else if (order->has_restore_snapshot()) {
            on_restore_snapshot(order, context);
        } else {
            begin_batch(order);
        }
    }
    if (batch_ != nullptr || !orders_.empty()) go_on_later(context);
}

void StateMachine::begin_batch(const Message& message) {
    const pb::Apply& apply = message->apply();
    SANDSTORE_CHECK(started_, "entries before the start");
    SANDSTORE_CHECK(restoring_ == nullptr, "entries while the snapshot at ", restoring_->meta.index(), " is restored");
    SANDSTORE_CHECK(apply.first_index() == state_->applied_index() + 1, "first_index=", apply.first_index(),
                    " applied=", state_->applied_index());
    batch_.reset(new Batch{RecordReader(message.payload), apply.record_count(), 0, apply.want_results(), {}, {}});
}

void StateMachine::apply_some(uint64_t* work, Context& context) {
    Record record;
    while (*work < kWorkPerTurn) {
        if (!batch_->reader.next(&record)) return end_batch(context);
        ++batch_->records;
        const uint64_t before = state_->work();
        if (record.type != RecordType::kCommand) {
            state_->skip(record.index);
        } else {
            const Payload command = record.data.flat();
            std::string result = state_->apply(record.index, command.flat_view(), record.term);
            // Replicas of two versions must not go two ways; the one that does not know stops.
            if (!state_->problem().empty()) {
                *work = kWorkPerTurn;
                return context.fail_stop(state_->problem());
            }
            if (batch_->want_results) {
                pb::ApplyResult* added = batch_->applied.add_results();
                added->set_index(record.index);
                added->set_result(std::move(result));
            }
            for (const ChunkKey& key : state_->collected()) fill_chunk_id(key, batch_->collected.add_ids());
        }
        *work += state_->work() - before;
    }
}

void StateMachine::end_batch(Context& context) {
    const std::unique_ptr<Batch> batch = std::move(batch_);
    const RecordReader& reader = batch->reader;
    SANDSTORE_CHECK(!reader.damaged(), "in a committed entry after ", state_->applied_index(), ": ", reader.problem());
    SANDSTORE_CHECK(batch->records == batch->announced, "records=", batch->records, " announced=", batch->announced);
    batch->applied.set_last_index(state_->applied_index());
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(std::move(batch->applied)));
    if (!batch->collected.ids().empty()) {
        context.send({pb::ACTOR_REPAIRER, context.self().instance}, message_of(std::move(batch->collected)));
    }
    tell_unfinished(context);
    answer_held(context);
}

void StateMachine::go_on_later(Context& context) {
    if (goes_on_) return;
    goes_on_ = true;
    context.send(context.self(), message_of(pb::Flush()));
}

void StateMachine::on_flush(Context& context) {
    goes_on_ = false;
    work_off_orders(context);
    answer_held(context);
    let_go_some(context);
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

uint64_t StateMachine::answer(const Message& request, const ReplyTo& asker, Context& context) {
    if (request->has_query()) {
        if (request->query().has_export_state()) {
            answer_export(request->query().export_state(), asker, context);
            return kStatePieceRecords;
        }
        Message reply;
        pb::QueryResult& result = *reply->mutable_query_result();
        const uint64_t work = state_->answer(request->query(), &result);
        context.reply(asker, std::move(reply));
        return work;
    }
    pb::StateHash hash;
    hash.set_applied_index(state_->applied_index());
    hash.set_hash(state_->hash());
    context.reply(asker, message_of(hash));
    return ReplicatedState::kWorkOfCommand;
}

void StateMachine::refuse(const Message& request, const ReplyTo& asker, pb::StatusCode code, std::string_view why,
                          Context& context) {
    if (!request->has_query()) return context.reply(asker, request_failed(code, why));
    Message reply;
    fill_status({code, why}, reply->mutable_query_result()->mutable_status());
    context.reply(asker, std::move(reply));
}

void StateMachine::answer_held(Context& context) {
    const auto answerable = [this] { return !held_.empty() && held_.begin()->first <= state_->applied_index(); };
    for (uint64_t work = 0; answerable() && work < kWorkPerTurn;) {
        const auto first = held_.extract(held_.begin());
        work += answer(first.mapped().request, first.mapped().asker, context);
    }
    if (answerable()) go_on_later(context);
}

// Only commands bring the state on: somebody has to see to it that there are some, and to reckon the clock.
void StateMachine::tell_unfinished(Context& context) {
    const uint64_t due_us = state_->work_due_us();
    if (due_us == told_due_us_ && state_->clock_us() - told_clock_us_ < kClockToldEveryUs) return;
    told_due_us_ = due_us;
    told_clock_us_ = state_->clock_us();
    pb::UnfinishedWork work;
    work.set_clock_us(state_->clock_us());
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
