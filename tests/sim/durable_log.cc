#include "tests/sim/durable_log.h"

#include <algorithm>

#include "actors/log/record.h"
#include "messages/envelope.pb.h"

namespace sandstore {

void DurableLog::on_deliver(const Message& message) {
    if (message->has_log_recovered()) return recover(message);
    if (message->has_log_write()) return write(message);
    if (!message->has_log_persisted()) return;
    while (!writes_.empty() && writes_.front().write_id <= message->log_persisted().write_id()) {
        carry_out(writes_.front());
        writes_.pop_front();
    }
}

void DurableLog::recover(const Message& message) {
    under_way_.clear();
    const pb::LogRecovered& recovered = message->log_recovered();
    term_ = recovered.hard_state().term();
    voted_for_ = recovered.hard_state().voted_for();
    terms_ = TermIndex(recovered.first_index() - 1);
    for (int i = 0; i < recovered.term_runs_size(); i++) {
        const uint64_t end =
            i + 1 < recovered.term_runs_size() ? recovered.term_runs(i + 1).first_index() : recovered.last_index() + 1;
        terms_.append(recovered.term_runs(i).term(), end - recovered.term_runs(i).first_index());
    }
}

void DurableLog::write(const Message& message) {
    const pb::LogWrite& body = message->log_write();
    Write write;
    write.write_id = body.write_id();
    write.has_hard_state = body.has_hard_state();
    write.term = body.hard_state().term();
    write.voted_for = body.hard_state().voted_for();
    write.restarts = body.has_restart();
    write.restart_index = body.restart().index();
    write.restart_term = body.restart().term();
    write.first_index = body.first_index();
    RecordReader reader(message.payload);
    for (RecordHeader header; reader.next_header(&header);) write.terms.push_back(header.term);
    writes_.push_back(std::move(write));
}

void DurableLog::begin_process() {
    // A process may die several times before its log is recovered.
    under_way_.insert(under_way_.end(), writes_.begin(), writes_.end());
    writes_.clear();
}

bool DurableLog::may_be(const DurableLog& other) const {
    DurableLog log = *this;
    if (log.is_like(other)) return true;
    for (const Write& write : under_way_) {
        log.carry_out(write);
        if (log.is_like(other)) return true;
    }
    return false;
}

uint64_t DurableLog::shortest_end() const {
    DurableLog log = *this;
    uint64_t end = log.terms_.last_index();
    for (const Write& write : under_way_) {
        log.carry_out(write);
        end = std::min(end, log.terms_.last_index());
    }
    return end;
}

void DurableLog::lose_from(uint64_t index) {
    if (index <= terms_.last_index()) terms_.truncate_after(index - 1);
}

bool DurableLog::is_like(const DurableLog& other) const {
    // The term of an entry that is compacted is not known after a restart.
    const uint64_t last = terms_.last_index();
    const bool same_end = last == other.terms_.last_index() &&
                          (last < other.terms_.first_index() || terms_.last_term() == other.terms_.last_term());
    return term_ == other.term_ && voted_for_ == other.voted_for_ && same_end;
}

void DurableLog::note_dropped(uint64_t from) {
    if (from < terms_.first_index() || from > terms_.last_index()) return;
    if (dropped_.first == 0 || from < dropped_.first) dropped_ = {from, terms_.term_at(from).value()};
}

// Hard state, restart, truncation, append: the order that LogWrite promises.
void DurableLog::carry_out(const Write& write) {
    if (write.has_hard_state) {
        term_ = write.term;
        voted_for_ = write.voted_for;
    }
    if (write.restarts) {
        note_dropped(write.restart_index + 1);
        terms_ = TermIndex(write.restart_index, write.restart_term);
    }
    if (!write.terms.empty()) {
        if (write.first_index <= terms_.last_index()) {
            note_dropped(write.first_index);
            terms_.truncate_after(write.first_index - 1);
        }
        for (const uint64_t term : write.terms) terms_.append(term);
    }
    ahead_of_term_ = ahead_of_term_ || terms_.last_term() > term_;
}

}  // namespace sandstore
