#include "client/mutations.h"

#include <algorithm>

#include "client/result.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

uint64_t Session::take_sequence() {
    needed_.insert(needed_.end(), next_sequence_);
    return next_sequence_++;
}

void Mutations::begin(pb::Mutation mutation, CallOwner owner, uint64_t until_us, Calls& calls, Context& context) {
    const uint64_t id = next_id_++;
    Pending& pending = pending_[id];
    pending.mutation = std::move(mutation);
    pending.owner = owner;
    pending.until_us = until_us;
    if (session_.is_open() && session_.has_room() && waiting_.empty()) {
        send(id, calls, context);
    } else {
        wait_for_session(id, calls, context);
    }
}

void Mutations::wait_for_session(uint64_t id, Calls& calls, Context& context) {
    Pending& pending = pending_.at(id);
    pending.sent = false;
    const uint64_t now_us = context.now_us();
    const uint64_t left_us = pending.until_us > now_us ? pending.until_us - now_us : 0;
    pending.timer = context.arm_timer(left_us, kTimerTag, id);
    waiting_.push_back(id);
    if (!opening_ && !session_.is_open()) open_session(calls, context);
}

void Mutations::send_waiting(Calls& calls, Context& context) {
    while (!waiting_.empty() && session_.is_open() && session_.has_room()) {
        const uint64_t id = waiting_.front();
        waiting_.pop_front();
        const auto found = pending_.find(id);
        if (found == pending_.end() || found->second.sent) continue;
        context.cancel_timer(found->second.timer);
        send(id, calls, context);
    }
}

void Mutations::open_session(Calls& calls, Context& context) {
    opening_ = true;
    pb::Mutation open;
    open.mutable_open_session();
    CallRequest request;
    request.owner = {CallOwner::Kind::kSession, 0, 0};
    request.message = message_of(std::move(open));
    request.until_us = context.now_us() + kOpenSessionUs;
    calls.begin(std::move(request), context);
}

void Mutations::send(uint64_t id, Calls& calls, Context& context) {
    Pending& pending = pending_.at(id);
    pending.sent = true;
    pending.mutation.set_session_id(session_.id());
    pending.mutation.set_sequence(session_.take_sequence());
    pending.mutation.set_oldest_needed(session_.oldest_needed());
    CallRequest request;
    request.owner = {CallOwner::Kind::kMutation, id, 0};
    request.message = message_of(pending.mutation);
    request.until_us = pending.until_us;
    calls.begin(std::move(request), context);
}

std::optional<CallEnd> Mutations::on_timer(uint64_t mutation_id) {
    const auto found = pending_.find(mutation_id);
    if (found == pending_.end() || found->second.sent) return std::nullopt;
    CallEnd end;
    end.status = make_status(pb::STATUS_DEADLINE_EXCEEDED, "no session could be opened in time");
    return finish(mutation_id, std::move(end));
}

CallEnd Mutations::finish(uint64_t id, CallEnd end) {
    const auto found = pending_.find(id);
    const Pending& pending = found->second;
    if (pending.sent && pending.mutation.session_id() == session_.id()) session_.finished(pending.mutation.sequence());
    end.owner = pending.owner;
    pending_.erase(found);
    return end;
}

void Mutations::on_call_ended(CallEnd end, Calls& calls, Context& context, std::vector<CallEnd>* ended) {
    if (end.owner.kind == CallOwner::Kind::kSession) {
        on_session_call_ended(std::move(end), calls, context, ended);
        return;
    }
    const uint64_t id = end.owner.id;
    Pending& pending = pending_.at(id);
    const bool expired = end.status.code() == pb::STATUS_SESSION_EXPIRED;
    if (expired && session_.id() == pending.mutation.session_id()) session_ = Session();
    if (expired && !end.outcome_unknown && pending.renewals++ < kSessionRenewalsMax) {
        wait_for_session(id, calls, context);
    } else {
        if (expired && end.outcome_unknown) {
            end.status = make_status(pb::STATUS_UNAVAILABLE,
                                     "the session expired while an attempt was unanswered, so the outcome is unknown");
        }
        if (end.status.code() == pb::STATUS_ENOSPC && end.outcome_unknown) {
            end.status = make_status(
                pb::STATUS_UNAVAILABLE,
                str_cat(kOutcomeUnknown, "an attempt was unanswered, and now there is No space left on device (",
                        end.status.message(), ")"));
        }
        ended->push_back(finish(id, std::move(end)));
    }
    send_waiting(calls, context);
}

void Mutations::on_session_call_ended(CallEnd end, Calls& calls, Context& context, std::vector<CallEnd>* ended) {
    opening_ = false;
    if (end.status.code() == pb::STATUS_OK) {
        session_ = Session(end.reply->mutation_result().session_id());
        if (session_.is_open()) return send_waiting(calls, context);
        end.status = make_status(pb::STATUS_INTERNAL, "the server gave no session id");
    }
    std::deque<uint64_t> waiting;
    waiting.swap(waiting_);
    std::erase_if(waiting, [this](uint64_t id) {
        const auto found = pending_.find(id);
        return found == pending_.end() || found->second.sent;
    });
    if (end.status.code() == pb::STATUS_DEADLINE_EXCEEDED) {
        // Nobody answered for a while. Those who wait have their own time limits.
        waiting_ = std::move(waiting);
        if (!waiting_.empty()) open_session(calls, context);
        return;
    }
    for (const uint64_t id : waiting) {
        context.cancel_timer(pending_.at(id).timer);
        CallEnd failed;
        failed.status = end.status;
        ended->push_back(finish(id, std::move(failed)));
    }
}

std::optional<pb::Mutation> Mutations::close_session() {
    if (!session_.is_open()) return std::nullopt;
    pb::Mutation close;
    close.set_session_id(session_.id());
    close.set_sequence(session_.take_sequence());
    close.set_oldest_needed(session_.oldest_needed());
    close.mutable_close_session();
    session_ = Session();
    return close;
}

}  // namespace sandstore
