// Exports: the whole namespace as it is at one index, given to a client in pieces while entries go on being applied.
#include "actors/state/outcome.h"
#include "actors/state/state_machine.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"

namespace sandstore {

void StateMachine::answer_export(const pb::ExportState& query, const ReplyTo& asker, Context& context) {
    Message reply;
    pb::QueryResult& result = *reply->mutable_query_result();
    uint64_t id = query.export_id();
    if (id == 0 && exports_.size() >= kExportsMax) forget_export_read_to_its_end();
    if (id == 0 && exports_.size() >= kExportsMax) {
        fill_status({pb::STATUS_RESOURCE_EXHAUSTED, "Too many clients read the whole namespace: try again later"},
                    result.mutable_status());
        return context.reply(asker, std::move(reply));
    }
    if (id == 0) {
        // Not to be mistaken for one that this node gave before it was started again.
        while (id == 0 || exports_.contains(id)) id = context.random();
        Export& made = exports_[id];
        made.frozen.index = state_->applied_index();
        made.frozen.writer = state_->freeze();
        watch_exports(context);
    }
    const auto found = exports_.find(id);
    if (found == exports_.end() || !give_piece(&found->second.frozen, query.piece(), context)) {
        fill_status({pb::STATUS_ESTALE, "This export is not held here (any more): begin anew"},
                    result.mutable_status());
        return context.reply(asker, std::move(reply));
    }
    Export& read = found->second;
    read.used_at_us = context.now_us();
    result.set_export_id(id);
    result.set_export_index(read.frozen.index);
    result.set_more(read.frozen.writer != nullptr);
    reply.payload = read.frozen.last_given;
    context.reply(asker, std::move(reply));
}

// It is kept only for a reader that did not get the last piece, and holds back nobody who begins.
void StateMachine::forget_export_read_to_its_end() {
    auto oldest = exports_.end();
    for (auto at = exports_.begin(); at != exports_.end(); ++at) {
        if (at->second.frozen.writer != nullptr) continue;
        if (oldest == exports_.end() || at->second.used_at_us < oldest->second.used_at_us) oldest = at;
    }
    if (oldest != exports_.end()) exports_.erase(oldest);
}

void StateMachine::watch_exports(Context& context) {
    if (watching_exports_) return;
    watching_exports_ = true;
    context.arm_timer(kExportIdleUs, 0);
}

// The only timer there is.
void StateMachine::on_timer_fired(Context& context) {
    watching_exports_ = false;
    for (auto at = exports_.begin(); at != exports_.end();) {
        if (context.now_us() - at->second.used_at_us < kExportIdleUs) {
            ++at;
            continue;
        }
        if (at->second.frozen.writer != nullptr) let_go(at->second.frozen.writer->take(), context);
        at = exports_.erase(at);
    }
    if (!exports_.empty()) watch_exports(context);
}

}  // namespace sandstore
