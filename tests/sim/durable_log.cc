#include "tests/sim/durable_log.h"

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

// Hard state, restart, truncation, append: the order that LogWrite promises.
void DurableLog::carry_out(const Write& write) {
    if (write.has_hard_state) {
        term_ = write.term;
        voted_for_ = write.voted_for;
    }
    if (write.restarts) terms_ = TermIndex(write.restart_index, write.restart_term);
    if (write.terms.empty()) return;
    if (write.first_index <= terms_.last_index()) terms_.truncate_after(write.first_index - 1);
    for (const uint64_t term : write.terms) terms_.append(term);
}

}  // namespace sandstore
