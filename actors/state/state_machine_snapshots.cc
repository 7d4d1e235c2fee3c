// The state machine's part in snapshots: freezing its state, giving it away in pieces, and taking over another one.
#include "actors/state/outcome.h"
#include "actors/state/state_machine.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"

namespace sandstore {

// --- Taking ----------------------------------------------------------------------------------------------------------

void StateMachine::on_take_snapshot(const Message& message, Context& context) {
    pb::SnapshotTaken taken;
    if (!started_) {
        fill_status({pb::STATUS_UNAVAILABLE, "The node is still starting"}, taken.mutable_status());
        return context.reply(reply_to(message), message_of(std::move(taken)));
    }
    drop_frozen(context);
    frozen_ = std::make_unique<Frozen>();
    frozen_->index = state_->applied_index() - (planted("snapshot-label-off-by-one") ? 1 : 0);
    frozen_->writer = state_->freeze();
    taken.set_index(frozen_->index);
    context.reply(reply_to(message), message_of(std::move(taken)));
}

void StateMachine::on_read_state(const Message& message, Context& context) {
    const pb::ReadState& read = message->read_state();
    pb::StatePiece answer;
    answer.set_piece(read.piece());
    if (frozen_ == nullptr || frozen_->index != read.index()) {
        fill_status({pb::STATUS_CORRUPTED, "No snapshot at this index is held"}, answer.mutable_status());
        return context.reply(reply_to(message), message_of(std::move(answer)));
    }
    if (!give_piece(frozen_.get(), read.piece(), context)) {
        fill_status({pb::STATUS_CORRUPTED, "Pieces are read in order"}, answer.mutable_status());
        return context.reply(reply_to(message), message_of(std::move(answer)));
    }
    answer.set_last(frozen_->writer == nullptr);
    context.reply(reply_to(message), message_of(std::move(answer), frozen_->last_given));
}

bool StateMachine::give_piece(Frozen* frozen, uint64_t piece, Context& context) {
    if (piece == frozen->next_piece && frozen->writer != nullptr) {
        frozen->last_given = Payload(frozen->writer->next_piece());
        ++frozen->next_piece;
        if (frozen->writer->done()) {
            let_go(frozen->writer->take(), context);
            frozen->writer.reset();
        }
    }
    // Once more, when the answer was lost.
    return piece + 1 == frozen->next_piece;
}

void StateMachine::drop_frozen(Context& context) {
    if (frozen_ != nullptr && frozen_->writer != nullptr) let_go(frozen_->writer->take(), context);
    frozen_.reset();
}

// --- Restoring -------------------------------------------------------------------------------------------------------

void StateMachine::on_restore_snapshot(const Message& message, Context& context) {
    const pb::SnapshotMeta& meta = message->restore_snapshot().meta();
    if (restoring_ != nullptr) end_restoring(pb::STATUS_UNAVAILABLE, "Another snapshot is restored instead", context);
    restoring_.reset(new Restoring{meta, reply_to(message), 0, state_->restorer(settings_)});
    if (!started_) return end_restoring(pb::STATUS_UNAVAILABLE, "The node is still starting", context);
    // Reads have been answered from what is here.
    if (meta.index() < state_->applied_index()) {
        return end_restoring(pb::STATUS_INVALID_ARGUMENT, "The state is newer than this snapshot", context);
    }
    context.info("Restoring a snapshot", {{"index", meta.index()}, {"term", meta.term()}});
    ask_section(0, context);
}

void StateMachine::ask_section(uint64_t offset, Context& context) {
    pb::ReadSection read;
    read.set_index(restoring_->meta.index());
    read.set_term(restoring_->meta.term());
    read.set_offset(offset);
    restoring_->section =
        context.ask({pb::ACTOR_SNAPSHOTS, context.self().instance}, message_of(read), kSectionTimeoutUs);
}

void StateMachine::on_snapshot_section(const Message& message, Context& context) {
    if (restoring_ == nullptr || message->reply_to() != restoring_->section) return;  // Of a restore that is over.
    const pb::SnapshotSection& section = message->snapshot_section();
    if (section.status().code() != pb::STATUS_OK) {
        return end_restoring(section.status().code(), section.status().message(), context);
    }
    // The next one is read from the disk while this one is looked at.
    if (!section.last()) ask_section(section.next_offset(), context);
    const Payload piece = message.payload.flat();
    StateRestorer& restorer = *restoring_->restorer;
    const bool good =
        restorer.read(piece.flat_view()) && (!section.last() || restorer.finish(restoring_->meta.index()));
    if (!good) return end_restoring(pb::STATUS_CORRUPTED, restorer.problem(), context);
    if (section.last()) use_restored(context);
}

void StateMachine::on_request_failed(const Message& message, Context& context) {
    if (restoring_ == nullptr || message->reply_to() != restoring_->section) return;
    const pb::Status& status = message->request_failed().status();
    end_restoring(status.code(), status.message(), context);
}

void StateMachine::use_restored(Context& context) {
    std::unique_ptr<ReplicatedState> replaced = std::exchange(state_, restoring_->restorer->take());
    end_restoring(pb::STATUS_OK, "", context);
    let_go(std::move(replaced), context);
    tell_unfinished(context);
    answer_held(context);
}

void StateMachine::end_restoring(pb::StatusCode code, std::string_view why, Context& context) {
    pb::SnapshotRestored restored;
    restored.set_index(restoring_->meta.index());
    if (code != pb::STATUS_OK) {
        *restored.mutable_status() =
            make_status(code, str_cat("The snapshot at index ", restoring_->meta.index(), " was not restored: ", why));
        context.warn("A snapshot was not restored", {{"index", restoring_->meta.index()}, {"why", why}});
    }
    context.reply(restoring_->asker, message_of(std::move(restored)));
    let_go(restoring_->restorer->take(), context);
    restoring_.reset();
}

// --- Letting go ------------------------------------------------------------------------------------------------------

// Its nodes are freed a few at a time.
void StateMachine::let_go(std::unique_ptr<ReplicatedState> state, Context& context) {
    discarded_.push_back(std::move(state));
    go_on_later(context);
}

void StateMachine::let_go_some(Context& context) {
    size_t nodes = kNodesFreedPerTurn;
    while (!discarded_.empty() && discarded_.front()->discard(&nodes)) discarded_.pop_front();
    if (!discarded_.empty()) go_on_later(context);
}

}  // namespace sandstore
