#include "actors/chunk/chunk_disk.h"

#include <utility>

#include "actors/chunk/chunk_checks.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

pb::Status DiskOutcome::status(std::string_view doing) const {
    if (ok()) return {};
    if (answered) return status_of_disk_error(reply.error(), doing);
    return status_of(refused() ? failure.code() : pb::STATUS_UNAVAILABLE,
                     str_cat("cannot ", doing, ": ", failure.message()));
}

void ChunkDisk::ask(DiskCall call, Done done, Context& context) {
    const RequestId id =
        context.ask(pb::PORT_CHUNK_DISK, message_of(std::move(call.request), std::move(call.payload)), kTimeoutUs);
    requests_.emplace(id, std::move(done));
}

void ChunkDisk::ask_patiently(DiskCall call, std::string_view doing, Done done, Context& context) {
    Patience patience{call, std::string(doing), std::move(done)};
    ask(
        std::move(call),
        [this, patience = std::move(patience)](DiskOutcome& outcome, Context& now) mutable {
            if (outcome.answered && !is_passing_disk_error(outcome.error())) return patience.done(outcome, now);
            now.warn(str_cat(outcome.status(patience.doing).message(), "; tried again"));
            const uint64_t number = next_wait_++;
            waiting_.emplace(number, std::move(patience));
            now.arm_timer(kRetryUs, retry_tag_, number);
        },
        context);
}

void ChunkDisk::on_retry(uint64_t data, Context& context) {
    const auto found = waiting_.find(data);
    if (found == waiting_.end()) return;
    Patience patience = std::move(found->second);
    waiting_.erase(found);
    ask_patiently(std::move(patience.call), patience.doing, std::move(patience.done), context);
}

void ChunkDisk::on_reply(Message message, Context& context) {
    DiskOutcome outcome;
    outcome.answered = true;
    outcome.reply = std::move(*message->mutable_disk_reply());
    outcome.payload = std::move(message.payload);
    if (outcome.reply.sync_failed()) {
        return context.fail_stop(str_cat("chunk disk: a sync failed (", outcome.status("sync").message(),
                                         "). What is on disk is unknown; check the disk, then start the node again"));
    }
    end(message->reply_to(), std::move(outcome), context);
}

bool ChunkDisk::on_failure(uint64_t request_id, const pb::Status& status, Context& context) {
    if (!requests_.contains(request_id)) return false;
    DiskOutcome outcome;
    outcome.failure = status;
    end(request_id, std::move(outcome), context);
    return true;
}

void ChunkDisk::end(uint64_t request_id, DiskOutcome outcome, Context& context) {
    const auto found = requests_.find(request_id);
    if (found == requests_.end()) return;
    const Done done = std::move(found->second);
    requests_.erase(found);
    done(outcome, context);
}

}  // namespace sandstore
