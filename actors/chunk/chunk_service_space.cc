// ChunkService: how much room there is, whether the disk takes writes, and who is told.
#include <algorithm>
#include <cerrno>

#include "actors/chunk/chunk_service.h"
#include "actors/log/disk_reserve.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kProbeFile = "chunks/probe";
constexpr std::string_view kProbeBytes = "Written now and then, to see whether the disk takes writes.\n";

}  // namespace

// A store that nobody writes to says nothing about its disk: a small file is written then.
void ChunkService::ask_space(Context& context) {
    if (space_asked_) return;
    space_asked_ = true;
    space_asked_at_us_ = context.now_us();
    const bool probe = wrote_at_us_ == 0 || context.now_us() - wrote_at_us_ >= kProbeAfterUs;
    DiskCall call;
    call.request.add_operations()->mutable_space();
    if (probe) call.replace(kProbeFile, Payload::copy_of(kProbeBytes));
    disk_.ask(
        std::move(call), [this, probe](DiskOutcome& outcome, Context& now) { on_space(probe, outcome, now); }, context);
}

void ChunkService::on_space(bool probe, DiskOutcome& outcome, Context& context) {
    space_asked_ = false;
    const bool measured = outcome.answered && (outcome.ok() || outcome.reply.failed_operation() > 0);
    if (measured) note_space(outcome.reply);
    if (!measured && !probe) return context.warn(outcome.status("ask for the free space").message());
    // That a disk is full its free bytes say; whoever stores chunks is told so, and that it is no use to try again.
    const bool full = outcome.answered && outcome.reply.error() == ENOSPC;
    if (probe && (outcome.ok() || full)) note_write(true, context);
    if (probe && !outcome.ok() && !full) {
        const std::string why(outcome.status("write").message());
        if (problem_ != why) context.error("The chunk store takes no writes", {{"why", why}});
        problem_ = why;
    }
    tell_stats(context);
}

void ChunkService::note_space(const pb::DiskReply& reply) {
    const uint64_t reserve = disk_reserve(disk_reserve_bytes_, reply.total_bytes());
    // What is being stored may not be on the disk yet.
    const uint64_t spoken_for = reserve + store_bytes_;
    room_bytes_ = reply.free_bytes() - std::min(reply.free_bytes(), spoken_for);
    space_.set_disk_reserve_bytes(reserve);
    space_.set_disk_total_bytes(reply.total_bytes());
    space_.set_disk_free_bytes(reply.free_bytes());
    metrics_.store_free->set(static_cast<double>(reply.free_bytes()));
    metrics_.store_total->set(static_cast<double>(reply.total_bytes()));
    metrics_.store_reserve->set(static_cast<double>(reserve));
}

// A write that failed for whatever reason: the next question for the free space finds out whether others would.
void ChunkService::note_write(bool ok, Context& context) {
    wrote_at_us_ = ok ? context.now_us() : 0;
    if (ok && !problem_.empty()) context.info("the chunk store takes writes again");
    if (ok) problem_.clear();
}

void ChunkService::tell_stats(Context& context) {
    metrics_.corrupt_now->set(static_cast<double>(index_.damaged()));
    metrics_.store_bytes->set(static_cast<double>(index_.intact_bytes()));
    metrics_.store_objects->set(static_cast<double>(index_.intact()));
    metrics_.volumes->set(static_cast<double>(volumes_.volumes()));
    metrics_.garbage->set(static_cast<double>(volumes_.garbage_bytes()));
    metrics_.index_memory->set(static_cast<double>(index_.memory_bytes()));
    metrics_.moved_bytes->set(static_cast<double>(volumes_.moved_bytes()));
    pb::ChunkStats stats = space_;
    stats.set_node_id(node_id_);
    stats.set_chunk_count(index_.intact());
    stats.set_chunk_bytes(index_.intact_bytes());
    stats.set_problem(problem_);
    stats.set_volumes(static_cast<uint32_t>(volumes_.volumes()));
    stats.set_garbage_bytes(volumes_.garbage_bytes());
    std::set<std::string> listeners(members_.begin(), members_.end());
    listeners.insert(peers_up_.begin(), peers_up_.end());
    for (const pb::ActorKind actor : {pb::ACTOR_FILES, pb::ACTOR_MOVER, pb::ACTOR_STATUS}) {
        context.send(Address(actor), message_of(stats));
        for (const std::string& member : listeners) context.send(Address(member, actor), message_of(stats));
    }
}

bool ChunkService::has_room(uint64_t file_bytes, Context& context) {
    if (disk_reserve_bytes_ == 0 || planted("chunks-fill-the-disk")) return true;
    // Others write to the disk too (the log makes its segments in advance): where room is scarce the figure is renewed.
    const bool is_scarce = room_bytes_ < kScarceChunks * chunk_bytes_max_;
    if (is_scarce && context.now_us() - space_asked_at_us_ >= kSpaceAgainUs) ask_space(context);
    return file_bytes <= room_bytes_;
}

pb::Status ChunkService::no_room() const {
    return status_of(pb::STATUS_ENOSPC, str_cat("the disk of node ", node_id_,
                                                " is full: remove files, or give it more space (what --disk-reserve "
                                                "keeps free is for the log)"));
}

}  // namespace sandstore
