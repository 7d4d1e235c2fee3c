// Bootstrap: whose chunks are in the data directory? Their files name neither cluster nor node: put into another node's
// directory they would be deleted there as leftovers, or be given out as that cluster's. So the directory has a mark.
#include <cerrno>
#include <system_error>

#include "actors/cluster/bootstrap.h"
#include "actors/cluster/identity.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {
constexpr uint64_t kDiskTimeoutUs = 60'000'000;
constexpr uint64_t kShortDiskRetryUs = 500'000;
}  // namespace

// --- The mark -------------------------------------------------------------------------------------------------------

void Bootstrap::look_at_chunks(Context& context) {
    step_ = Step::kLookingAtChunks;
    progress("a look at whose chunks these are", context);
    pb::DiskRequest request;
    auto* read = request.add_operations()->mutable_read();
    read->set_file(std::string(kChunkMarkFile));
    read->set_length(kIdentityBytesMax + 1);
    disk_request_ = context.ask(pb::PORT_CHUNK_DISK, message_of(std::move(request)), kDiskTimeoutUs);
}

void Bootstrap::chunk_mark_read(const Message& message, Context& context) {
    const int error = message->disk_reply().error();
    if (error == ENOENT) return mark_chunks(context);
    if (error != 0) {
        return refuse(str_cat("cannot read ", kChunkMarkFile, " in the data directory (errno ", error,
                              "): check the disk, then start the node again"),
                      context);
    }
    std::string problem;
    const std::optional<ChunkMark> mark = parse_chunk_mark(message.payload.to_string(), &problem);
    if (!mark) {
        return refuse(str_cat("cannot tell whose chunks are in the data directory: ", kChunkMarkFile,
                              " is damaged: ", problem, ". If they are this node's, remove that file"),
                      context);
    }
    const bool ours = mark->cluster_id == identity_->cluster_id() && mark->node_id == node_.node_id();
    if (!ours && !planted("foreign-chunks-taken")) {
        return refuse(str_cat("the chunks in the data directory belong to ", mark->node_id, " of cluster ",
                              mark->cluster_id, ", and this is ", node_.node_id(), " of cluster ",
                              identity_->cluster_id(), ": bring the directory chunks back to where it belongs, and ",
                              "start this node with its own, or without one"),
                      context);
    }
    start_actors(context);
}

// A directory from before there were marks, or a new one.
void Bootstrap::mark_chunks(Context& context) {
    step_ = Step::kMarkingChunks;
    std::string text = chunk_mark_text({identity_->cluster_id(), node_.node_id()});
    pb::DiskRequest request;
    request.add_operations()->mutable_make_directory()->set_directory("chunks");
    auto* replace = request.add_operations()->mutable_replace();
    replace->set_file(std::string(kChunkMarkFile));
    replace->set_length(text.size());
    disk_request_ =
        context.ask(pb::PORT_CHUNK_DISK, message_of(std::move(request), Payload(std::move(text))), kDiskTimeoutUs);
}

// On a full disk the chunks wait for their mark: the next start writes it.
void Bootstrap::chunks_marked(const pb::DiskReply& reply, Context& context) {
    if (reply.error() != 0 && reply.error() != ENOSPC && reply.error() != EDQUOT) {
        return refuse(str_cat("cannot write ", kChunkMarkFile, " into the data directory (errno ", reply.error(),
                              "): check that it is writable, then start the node again"),
                      context);
    }
    start_actors(context);
}

// --- A disk that is short of something ------------------------------------------------------------------------------

// Running out of descriptors or memory says nothing about the directory: it is looked at again.
bool Bootstrap::disk_is_short(const pb::DiskReply& reply, Context& context) {
    const bool may_be_repeated = step_ != Step::kStarted && !reply.sync_failed();
    if (!may_be_repeated || !is_passing_disk_error(reply.error())) return false;
    wait_for(str_cat("the machine to have what is short: ", std::generic_category().message(reply.error()),
                     " at the data directory"),
             context);
    context.arm_timer(kShortDiskRetryUs, kTagAskDiskAgain);
    return true;
}

void Bootstrap::look_again(Context& context) {
    switch (step_) {
        case Step::kReadingIdentity:
            return read_identity(context);
        case Step::kClaimingStorage:
        case Step::kWritingIdentity:
        case Step::kNotingStart:
            return write_identity(step_, context);
        case Step::kLookingAtLog:
            return look_at_log(context);
        case Step::kLookingAtChunks:
            return look_at_chunks(context);
        case Step::kMarkingChunks:
            return mark_chunks(context);
        default:
            return;
    }
}

}  // namespace sandstore
