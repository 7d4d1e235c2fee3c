#include "client/file_lease.h"

#include "client/calls.h"
#include "runtime/event_runtime.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

// Not the client's: the lease goes on while this process is stopped.
uint64_t now_us() {
    return SystemClock().monotonic_us();
}

}  // namespace

Result<pb::MutationResult> FileLease::take(pb::LeaseFile request, uint64_t timeout_us) {
    pb::Mutation mutation;
    *mutation.mutable_lease_file() = std::move(request);
    shared_->prolonged_at_us = now_us();
    Result<pb::MutationResult> result = client_.mutate_fully(std::move(mutation), timeout_us);
    if (!result.ok()) return result;
    id_ = result->lease_id();
    inode_ = result->attributes().inode();
    return result;
}

void FileLease::keep() {
    const uint64_t asked_us = now_us();
    if (id_ == 0 || shared_->lost || shared_->under_way) return;
    if (asked_us - shared_->prolonged_at_us < kProlongEveryUs) return;
    pb::Mutation mutation;
    mutation.mutable_lease_file()->set_lease_id(id_);
    shared_->under_way = true;
    client_.submit(message_of(std::move(mutation)), [shared = shared_, asked_us](const Message& reply) {
        shared->under_way = false;
        const pb::StatusCode code = status_of_reply(reply).code();
        if (code == pb::STATUS_OK) shared->prolonged_at_us = asked_us;
        if (code == pb::STATUS_ENOENT) shared->lost = true;
    });
}

bool FileLease::run_until(const std::function<bool()>& done) {
    // By the client's clock, as the deadlines of its requests.
    for (uint64_t waited_us = 0; waited_us <= client_.options().timeout_us; waited_us += kLookUpUs) {
        keep();
        if (client_.run_until(done, kLookUpUs)) return true;
    }
    return false;
}

bool FileLease::has_ended() {
    if (id_ == 0 || shared_->lost) return shared_->lost;
    pb::Mutation mutation;
    mutation.mutable_lease_file()->set_lease_id(id_);
    return client_.mutate_fully(std::move(mutation)).code() == pb::STATUS_ENOENT;
}

// It ends by itself, too: nobody waits for the answer.
void FileLease::end() {
    if (id_ == 0) return;
    pb::Mutation mutation;
    mutation.mutable_end_lease()->set_lease_id(id_);
    id_ = 0;
    client_.submit(message_of(std::move(mutation)), [](const Message&) {});
}

}  // namespace sandstore
