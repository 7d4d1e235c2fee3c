#include "client/calls.h"

#include <algorithm>

#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr unsigned kRedirectsInARow = 2;
constexpr unsigned kFullDisksMax = 3;  // Answers that a disk is full, before a mutation of unknown outcome ends.

}  // namespace

pb::Status status_of_reply(const Message& reply) {
    switch (reply->body_case()) {
        case pb::Envelope::kMutationResult:
            return reply->mutation_result().status();
        case pb::Envelope::kQueryResult:
            return reply->query_result().status();
        case pb::Envelope::kAllocateChunksReply:
            return reply->allocate_chunks_reply().status();
        case pb::Envelope::kChunkPutReply:
            return reply->chunk_put_reply().status();
        case pb::Envelope::kChunkGetReply:
            return reply->chunk_get_reply().status();
        case pb::Envelope::kClusterStatus:
            return reply->cluster_status().status();
        case pb::Envelope::kClientWriteReply:
            return reply->client_write_reply().status();
        case pb::Envelope::kClientReadReply:
            return reply->client_read_reply().status();
        case pb::Envelope::kClientReadChunkReply:
            return reply->client_read_chunk_reply().status();
        case pb::Envelope::kStatusReply:
            return reply->status_reply().status();
        case pb::Envelope::kRequestFailed: {
            pb::Status status = reply->request_failed().status();
            if (status.code() == pb::STATUS_OK) status.set_code(pb::STATUS_INTERNAL);  // A failure is never OK.
            return status;
        }
        default:
            return make_status(pb::STATUS_INTERNAL, str_cat("the server answered with ", body_name(reply.envelope()),
                                                            ", which is no answer"));
    }
}

void Calls::start(const ClientSettings& settings, const std::vector<std::string>& servers, Context& context) {
    settings_ = settings;
    finder_.set_servers(servers, context.random());
}

uint64_t Calls::backoff_us(unsigned failures, Context& context, uint64_t longest_us) const {
    longest_us = std::max(settings_.retry_max_us, longest_us);
    uint64_t delay = settings_.retry_min_us;
    for (unsigned i = 0; i < failures && delay < longest_us; ++i) delay *= 2;
    delay = std::clamp<uint64_t>(delay, 2, std::max<uint64_t>(2, longest_us));
    return delay / 2 + context.random() % (delay / 2 + 1);
}

void Calls::begin(CallRequest request, Context& context) {
    const uint64_t id = next_call_++;
    Call& call = calls_[id];
    call.request = std::move(request);
    call.any_index = finder_.empty() ? 0 : finder_.current_index();
    if (call.request.target == CallRequest::Target::kEachInTurn) call.any_index += next_in_turn_++;
    if (call.request.attempt_timeout_us == 0) call.request.attempt_timeout_us = settings_.attempt_timeout_us;
    const bool nowhere = call.request.target != CallRequest::Target::kOneServer && finder_.empty();
    if (call.request.delay_us > 0 || nowhere) {
        pause(id, call, call.request.delay_us, context);
    } else {
        attempt(id, call, context);
    }
}

void Calls::attempt(uint64_t id, Call& call, Context& context) {
    const uint64_t now_us = context.now_us();
    if (now_us >= call.request.until_us) return pause(id, call, 0, context);
    switch (call.request.target) {
        case CallRequest::Target::kLeader:
            call.server = finder_.current();
            break;
        case CallRequest::Target::kAnyServer:
        case CallRequest::Target::kEachInTurn:
            call.server = any_server(call, now_us);
            break;
        case CallRequest::Target::kOneServer:
            call.server = call.request.server;
            break;
    }
    call.waiting = false;
    const uint64_t timeout_us = std::min(call.request.attempt_timeout_us, call.request.until_us - now_us);
    // A call to one server is not repeated, so its message can go as it is.
    Message message = call.request.target == CallRequest::Target::kOneServer ? std::move(call.request.message)
                                                                             : call.request.message.clone();
    const RequestId request =
        context.ask(Address(str_cat("@", call.server), call.request.actor), std::move(message), timeout_us);
    attempts_[request] = id;
}

// Not one that failed a moment ago, where there is a choice.
const std::string& Calls::any_server(Call& call, uint64_t now_us) const {
    for (size_t step = 0; step < finder_.size(); ++step) {
        if (!finder_.distrusted(finder_.server(call.any_index + step), now_us)) {
            call.any_index += step;
            break;
        }
    }
    return finder_.server(call.any_index);
}

void Calls::pause(uint64_t id, Call& call, uint64_t delay_us, Context& context) {
    const uint64_t now_us = context.now_us();
    const uint64_t left_us = call.request.until_us > now_us ? call.request.until_us - now_us : 0;
    call.waiting = true;
    call.redirects = 0;
    context.arm_timer(std::min(delay_us, left_us), kTimerTag, id);
}

std::optional<CallEnd> Calls::on_timer(uint64_t call_id, Context& context) {
    const auto found = calls_.find(call_id);
    if (found == calls_.end() || !found->second.waiting) return std::nullopt;
    Call& call = found->second;
    const bool nowhere = call.request.target != CallRequest::Target::kOneServer && finder_.empty();
    if (nowhere) call.last_error = "no servers are configured";
    if (nowhere || context.now_us() >= call.request.until_us) return end_out_of_time(call_id);
    attempt(call_id, call, context);
    return std::nullopt;
}

std::optional<CallEnd> Calls::on_reply(Message reply, Context& context) {
    const auto attempt_of = attempts_.find(reply->reply_to());
    if (attempt_of == attempts_.end()) return std::nullopt;
    const uint64_t id = attempt_of->second;
    attempts_.erase(attempt_of);
    Call& call = calls_.at(id);
    const pb::Status status = status_of_reply(reply);
    const bool from_runtime = reply->body_case() == pb::Envelope::kRequestFailed;
    switch (judge(call, status, from_runtime, context)) {
        case Next::kAtOnce:
            attempt(id, call, context);
            return std::nullopt;
        case Next::kAfterPause:
            if (call.last_error.empty()) call.last_error = status.message();
            pause(id, call, backoff_us(call.failures++, context), context);
            return std::nullopt;
        case Next::kEnd:
            break;
    }
    CallEnd end{call.request.owner, status, std::move(reply), call.outcome_unknown};
    calls_.erase(id);
    return end;
}

// What the answer of one attempt means for the call, and for the choice of the next server.
Calls::Next Calls::judge(Call& call, const pb::Status& status, bool from_runtime, Context& context) {
    const uint64_t now_us = context.now_us();
    const bool repeated = call.request.target != CallRequest::Target::kOneServer;
    if (status.code() != pb::STATUS_OK) call.last_error = str_cat(call.server, ": ", status.message());
    switch (status.code()) {
        case pb::STATUS_UNAVAILABLE:
        case pb::STATUS_DEADLINE_EXCEEDED:
            call.outcome_unknown = true;
            call.any_index++;
            if (from_runtime) {
                finder_.failed(call.server, now_us, call.last_error);
            } else if (repeated) {
                finder_.refused(call.server, now_us);
            }
            break;
        case pb::STATUS_NOT_LEADER:
            if (!repeated) return Next::kEnd;
            call.any_index++;
            if (finder_.redirected(call.server, status.leader_address(), now_us) &&
                call.redirects++ < kRedirectsInARow) {
                return Next::kAtOnce;
            }
            break;
        case pb::STATUS_RESOURCE_EXHAUSTED:
            break;
        case pb::STATUS_ENOSPC:
            // A full disk may have refused this attempt while an earlier one, unanswered, was taken in: that one's
            // answer may still come, but a disk does not get room by being asked.
            if (repeated && call.outcome_unknown && call.request.owner.kind == CallOwner::Kind::kMutation &&
                call.full_disks++ < kFullDisksMax) {
                break;
            }
            [[fallthrough]];
        default:
            if (call.request.target == CallRequest::Target::kLeader) {
                finder_.confirmed(call.server);
            } else {
                finder_.answered(call.server);
            }
            if (status.code() == pb::STATUS_OK) call.outcome_unknown = false;
            return Next::kEnd;
    }
    if (!repeated) return Next::kEnd;
    context.metrics().counter("sandstore_client_retries_total", "Attempts that had to be repeated.").add();
    return Next::kAfterPause;
}

CallEnd Calls::end_out_of_time(uint64_t id) {
    const auto found = calls_.find(id);
    Call& call = found->second;
    CallEnd end{call.request.owner,
                make_status(pb::STATUS_DEADLINE_EXCEEDED,
                            call.last_error.empty() ? std::string("no answer in time")
                                                    : str_cat("no answer in time (last: ", call.last_error, ")")),
                Message(), call.outcome_unknown};
    calls_.erase(found);
    return end;
}

}  // namespace sandstore
