#include "client/client_actor.h"

#include <algorithm>
#include <utility>

#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kDrainOperation = 0;  // The owner of the call that closes the session.

}  // namespace

void ClientActor::receive(Message message, Context& context) {
    if (message->reply_to() != 0) return on_reply(std::move(message), context);
    switch (message->body_case()) {
        case pb::Envelope::kStartClient:
            return on_start_client(message->start_client(), context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(message->timer_fired(), context);
        case pb::Envelope::kDrain:
            return on_drain(message, context);
        case pb::Envelope::kMutation:
            return on_request(
                std::move(message),
                [](uint64_t id, ReplyTo asker, uint64_t until_us, Message& request) {
                    return make_mutation_operation(id, std::move(asker), until_us,
                                                   std::move(*request->mutable_mutation()));
                },
                context);
        case pb::Envelope::kQuery:
            return on_request(
                std::move(message),
                [](uint64_t id, ReplyTo asker, uint64_t until_us, Message& request) {
                    return make_query_operation(id, std::move(asker), until_us, std::move(*request->mutable_query()));
                },
                context);
        case pb::Envelope::kClientWrite:
            return on_request(
                std::move(message),
                [](uint64_t id, ReplyTo asker, uint64_t until_us, Message& request) {
                    return make_write_operation(id, std::move(asker), until_us,
                                                std::move(*request->mutable_client_write()),
                                                std::move(request.payload));
                },
                context);
        case pb::Envelope::kClientRead:
            return on_request(
                std::move(message),
                [](uint64_t id, ReplyTo asker, uint64_t until_us, Message& request) {
                    return make_read_operation(id, std::move(asker), until_us,
                                               std::move(*request->mutable_client_read()));
                },
                context);
        case pb::Envelope::kClientReadChunk:
            return on_request(
                std::move(message),
                [](uint64_t id, ReplyTo asker, uint64_t until_us, Message& request) {
                    return make_read_chunk_operation(id, std::move(asker), until_us,
                                                     std::move(*request->mutable_client_read_chunk()));
                },
                context);
        case pb::Envelope::kClusterStatusRequest:
            return on_request(
                std::move(message),
                [](uint64_t id, ReplyTo asker, uint64_t until_us, Message& request) {
                    return make_status_operation(id, std::move(asker), until_us,
                                                 std::move(*request->mutable_cluster_status_request()));
                },
                context);
        default:
            return context.unexpected(message);
    }
}

void ClientActor::on_start_client(const pb::StartClient& start, Context& context) {
    const ClientSettings defaults;
    const auto milliseconds_or = [](uint64_t value_ms, uint64_t otherwise_us) {
        return value_ms == 0 ? otherwise_us : std::min<uint64_t>(value_ms, 3'600'000) * 1000;
    };
    settings_.uid = start.uid();
    settings_.gid = start.gid();
    settings_.chunk_bytes_max = start.chunk_bytes_max() == 0
                                    ? defaults.chunk_bytes_max
                                    : std::clamp(start.chunk_bytes_max(), kChunkBytesMin, kChunkBytesMax);
    chunk_bytes_max_ = settings_.chunk_bytes_max;
    settings_.attempt_timeout_us = milliseconds_or(start.attempt_timeout_ms(), defaults.attempt_timeout_us);
    settings_.retry_min_us = milliseconds_or(start.retry_min_ms(), defaults.retry_min_us);
    settings_.retry_max_us =
        std::max(settings_.retry_min_us, milliseconds_or(start.retry_max_ms(), defaults.retry_max_us));
    settings_.read_any_node = start.read_any_node();
    calls_.start(settings_, {start.servers().begin(), start.servers().end()}, context);
    started_ = true;
}

void ClientActor::on_request(Message message, MakeOperation make, Context& context) {
    if (!started_ || !calls_.has_servers()) {
        return refuse(message, make_status(pb::STATUS_UNAVAILABLE, "no servers are configured"), context);
    }
    if (draining_) return refuse(message, make_status(pb::STATUS_UNAVAILABLE, "the client is closing"), context);
    if (operations_.size() >= kOperationsMax || write_bytes_ + message.payload.size() > kWriteBytesInFlightMax) {
        return refuse(message, make_status(pb::STATUS_RESOURCE_EXHAUSTED, "too many requests at once"), context);
    }
    const ReplyTo asker = reply_to(message);
    const uint64_t now_us = context.now_us();
    const uint64_t deadline_us = asker.deadline_us == 0 ? now_us + kDefaultTimeoutUs : asker.deadline_us;
    const uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
    const uint64_t until_us = now_us + left_us - std::min(kAnswerMarginUs, left_us / 10);
    const uint64_t id = next_operation_++;
    std::unique_ptr<Operation> operation = make(id, asker, until_us, message);
    write_bytes_ += operation->bytes_held();
    Operation& started = *(operations_[id] = std::move(operation));
    Work tools = work(context);
    started.start(tools);
    end_if_finished(id, context);
}

// It goes, or another operation takes its place.
void ClientActor::end_if_finished(uint64_t id, Context& context) {
    std::unique_ptr<Operation>& operation = operations_.at(id);
    if (!operation->finished()) return;
    write_bytes_ -= operation->bytes_held();
    std::unique_ptr<Operation> successor = operation->take_successor();
    if (operation->is_afterwork()) --afterwork_;
    if (successor == nullptr) {
        operations_.erase(id);
        if (drain_waits_ && afterwork_ == 0) close_session(context);
        return;
    }
    operation = std::move(successor);
    if (operation->is_afterwork()) ++afterwork_;
    write_bytes_ += operation->bytes_held();
    Work tools = work(context);
    operation->start(tools);
}

void ClientActor::refuse(const Message& request, pb::Status status, Context& context) {
    Message reply;
    switch (request->body_case()) {
        case pb::Envelope::kMutation:
            *reply->mutable_mutation_result()->mutable_status() = std::move(status);
            break;
        case pb::Envelope::kQuery:
            *reply->mutable_query_result()->mutable_status() = std::move(status);
            break;
        case pb::Envelope::kClientWrite:
            *reply->mutable_client_write_reply()->mutable_status() = std::move(status);
            break;
        case pb::Envelope::kClientRead:
            *reply->mutable_client_read_reply()->mutable_status() = std::move(status);
            break;
        case pb::Envelope::kClientReadChunk:
            *reply->mutable_client_read_chunk_reply()->mutable_status() = std::move(status);
            break;
        default:
            *reply->mutable_cluster_status()->mutable_status() = std::move(status);
            break;
    }
    context.reply(reply_to(request), std::move(reply));
}

void ClientActor::on_timer_fired(const pb::TimerFired& timer, Context& context) {
    std::vector<CallEnd> ended;
    std::optional<CallEnd> end;
    if (timer.tag() == Calls::kTimerTag) end = calls_.on_timer(timer.data(), context);
    if (timer.tag() == Mutations::kTimerTag) end = mutations_.on_timer(timer.data());
    if (end) ended.push_back(std::move(*end));
    settle(std::move(ended), context);
}

void ClientActor::on_reply(Message message, Context& context) {
    std::vector<CallEnd> ended;
    std::optional<CallEnd> end = calls_.on_reply(std::move(message), context);
    if (end) ended.push_back(std::move(*end));
    settle(std::move(ended), context);
}

// Hands each end to whom it concerns. That may end further calls (a session that opened, or did not).
void ClientActor::settle(std::vector<CallEnd> ended, Context& context) {
    for (size_t i = 0; i < ended.size(); ++i) {
        CallEnd end = std::move(ended[i]);
        if (end.owner.kind != CallOwner::Kind::kOperation) {
            mutations_.on_call_ended(std::move(end), calls_, context, &ended);
            continue;
        }
        if (end.owner.id == kDrainOperation) {
            context.reply(drain_asker_, message_of(pb::StatusReply()));
            drain_asker_ = ReplyTo();
            continue;
        }
        const auto found = operations_.find(end.owner.id);
        if (found == operations_.end()) continue;  // It was over before all of its calls were.
        Work tools = work(context);
        found->second->on_call_ended(std::move(end), tools);
        end_if_finished(found->first, context);
    }
}

// Operations under way go on; what they change is safe, since a session that ends only makes late copies harmless. What
// was answered but is not over is waited for.
void ClientActor::on_drain(const Message& message, Context& context) {
    if (draining_) return context.reply(reply_to(message), message_of(pb::StatusReply()));
    draining_ = true;
    drain_asker_ = reply_to(message);
    drain_waits_ = afterwork_ > 0;
    if (!drain_waits_) close_session(context);
}

void ClientActor::close_session(Context& context) {
    drain_waits_ = false;
    std::optional<pb::Mutation> close = mutations_.close_session();
    if (!close) return context.reply(std::exchange(drain_asker_, {}), message_of(pb::StatusReply()));
    CallRequest request;
    request.owner = {CallOwner::Kind::kOperation, kDrainOperation, 0};
    request.message = message_of(std::move(*close));
    const uint64_t limit_us = context.now_us() + settings_.attempt_timeout_us;
    request.until_us = drain_asker_.deadline_us == 0 ? limit_us : std::min(limit_us, drain_asker_.deadline_us);
    calls_.begin(std::move(request), context);
}

}  // namespace sandstore
