// Operations of one call: a mutation, a query, the cluster's status.
#include "client/operation.h"
#include "client/result.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

pb::Status mutation_status(const CallEnd& end) {
    pb::Status status = end.status;
    if (status.code() == pb::STATUS_DEADLINE_EXCEEDED) {
        status.set_message(str_cat(end.outcome_unknown ? kOutcomeUnknown : kNothingChanged, end.status.message()));
    }
    return status;
}

namespace {

class MutationOperation final : public Operation {
 public:
    MutationOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::Mutation mutation)
        : Operation(id, std::move(asker), until_us), mutation_(std::move(mutation)) {}

    void start(Work& work) override {
        switch (mutation_.operation_case()) {
            case pb::Mutation::OPERATION_NOT_SET:
            case pb::Mutation::kOpenSession:
            case pb::Mutation::kCloseSession:
                finish(make_status(pb::STATUS_INVALID_ARGUMENT, "sessions are the client's own affair"), work);
                return;
            default:
                break;
        }
        if (mutation_.uid() == 0) mutation_.set_uid(work.settings.uid);
        if (mutation_.gid() == 0) mutation_.set_gid(work.settings.gid);
        work.mutations.begin(std::move(mutation_), owner(0), until_us(), work.calls, work.context);
    }

    void on_call_ended(CallEnd end, Work& work) override {
        if (end.reply->has_mutation_result() && end.status.code() != pb::STATUS_UNAVAILABLE) {
            pb::MutationResult result = std::move(*end.reply->mutable_mutation_result());
            result.clear_session_id();
            answer(message_of(std::move(result)), work);
            return;
        }
        finish(mutation_status(end), work);
    }

 private:
    void finish(pb::Status status, Work& work) {
        pb::MutationResult result;
        *result.mutable_status() = std::move(status);
        answer(message_of(std::move(result)), work);
    }

    pb::Mutation mutation_;
};

class QueryOperation final : public Operation {
 public:
    QueryOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::Query query)
        : Operation(id, std::move(asker), until_us), query_(std::move(query)) {}

    void start(Work& work) override {
        query_.clear_minimum_index();
        call_reader(0, std::move(query_), work);
    }

    void on_call_ended(CallEnd end, Work& work) override {
        if (end.reply->has_query_result()) {
            answer(message_of(std::move(*end.reply->mutable_query_result()), std::move(end.reply.payload)), work);
            return;
        }
        pb::QueryResult result;
        *result.mutable_status() = std::move(end.status);
        answer(message_of(std::move(result)), work);
    }

 private:
    pb::Query query_;
};

class StatusOperation final : public Operation {
 public:
    StatusOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClusterStatusRequest request)
        : Operation(id, std::move(asker), until_us), request_(std::move(request)) {}

    void start(Work& work) override {
        CallRequest call;
        call.owner = owner(0);
        call.target = CallRequest::Target::kAnyServer;
        call.actor = pb::ACTOR_STATUS;
        call.message = message_of(std::move(request_));
        call.until_us = until_us();
        work.calls.begin(std::move(call), work.context);
    }

    void on_call_ended(CallEnd end, Work& work) override {
        if (end.reply->has_cluster_status()) {
            answer(message_of(std::move(*end.reply->mutable_cluster_status())), work);
            return;
        }
        pb::ClusterStatus status;
        *status.mutable_status() = std::move(end.status);
        answer(message_of(std::move(status)), work);
    }

 private:
    pb::ClusterStatusRequest request_;
};

}  // namespace

std::unique_ptr<Operation> make_mutation_operation(uint64_t id, ReplyTo asker, uint64_t until_us,
                                                   pb::Mutation mutation) {
    return std::make_unique<MutationOperation>(id, std::move(asker), until_us, std::move(mutation));
}

std::unique_ptr<Operation> make_query_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::Query query) {
    return std::make_unique<QueryOperation>(id, std::move(asker), until_us, std::move(query));
}

std::unique_ptr<Operation> make_status_operation(uint64_t id, ReplyTo asker, uint64_t until_us,
                                                 pb::ClusterStatusRequest request) {
    return std::make_unique<StatusOperation>(id, std::move(asker), until_us, std::move(request));
}

}  // namespace sandstore
