#include "net/figures_sampler.h"

#include <utility>

#include "messages/fs.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kRequests = "sandstore_request_duration_seconds";

bool has_label(std::string_view labels, std::string_view name, std::string_view value) {
    return labels.find(str_cat(name, "=\"", value, "\"")) != std::string_view::npos;
}

bool is_of_files(std::string_view labels) {
    return has_label(labels, "api", "files");
}

// What a client may try again, or must be told as an error of ours: neither a POSIX answer nor the way to the leader.
bool is_failure(std::string_view labels) {
    if (!is_of_files(labels)) return false;
    for (const std::string_view code :
         {"unavailable", "deadline_exceeded", "resource_exhausted", "corrupted", "internal", "eio", "enospc"}) {
        if (has_label(labels, "code", code)) return true;
    }
    return false;
}

bool is_mutation(std::string_view labels) {
    if (!is_of_files(labels) || !has_label(labels, "code", "ok")) return false;
    const auto* operations = pb::Mutation::descriptor()->FindOneofByName("operation");
    for (int i = 0; i < operations->field_count(); i++) {
        if (has_label(labels, "op", operations->field(i)->name())) return true;
    }
    return false;
}

}  // namespace

FiguresSampler::FiguresSampler(event_base* base, PortHost& host)
    : host_(host), before_(look()), due_us_(host.now_us() + kIntervalUs), timer_(base, [this] { on_timer(); }) {
    timer_.start_us(kIntervalUs);
}

FiguresSampler::Seen FiguresSampler::look() const {
    const MetricsRegistry& metrics = host_.metrics();
    return {
        .at_us = host_.now_us(),
        .requests = metrics.histogram_total(kRequests, is_of_files).count(),
        .failures = metrics.histogram_total(kRequests, is_failure).count(),
        .received_bytes = metrics.counter_total("sandstore_net_received_bytes_total"),
        .sent_bytes = metrics.counter_total("sandstore_net_sent_bytes_total"),
        .chunk_puts = metrics.counter_total("sandstore_chunk_puts_total"),
        .chunk_gets = metrics.counter_total("sandstore_chunk_gets_total"),
        .messages = metrics.counter_total("sandstore_messages_delivered_total"),
        .slow_turns = metrics.counter_total("sandstore_slow_turns_total"),
        .mutations = metrics.histogram_total(kRequests, is_mutation),
        .syncs = metrics.histogram_total("sandstore_wal_fsync_duration_seconds"),
    };
}

pb::NodeFigures FiguresSampler::take() {
    Seen now = look();
    Histogram mutations = now.mutations, syncs = now.syncs;
    mutations.subtract(before_.mutations);
    syncs.subtract(before_.syncs);
    pb::NodeFigures figures;
    figures.set_interval_us(now.at_us - before_.at_us);
    figures.set_requests(now.requests - before_.requests);
    figures.set_failures(now.failures - before_.failures);
    figures.set_mutations(mutations.count());
    figures.set_mutation_p50_us(mutations.quantile_us(0.5));
    figures.set_mutation_p99_us(mutations.quantile_us(0.99));
    figures.set_syncs(syncs.count());
    figures.set_sync_p50_us(syncs.quantile_us(0.5));
    figures.set_sync_p99_us(syncs.quantile_us(0.99));
    figures.set_received_bytes(now.received_bytes - before_.received_bytes);
    figures.set_sent_bytes(now.sent_bytes - before_.sent_bytes);
    figures.set_chunk_puts(now.chunk_puts - before_.chunk_puts);
    figures.set_chunk_gets(now.chunk_gets - before_.chunk_gets);
    figures.set_messages(now.messages - before_.messages);
    figures.set_slow_turns(now.slow_turns - before_.slow_turns);
    const MetricsRegistry& metrics = host_.metrics();
    figures.set_etcd(!metrics.has("sandstore_etcd_connected")                ? pb::NodeFigures::NOT_USED
                     : metrics.gauge_total("sandstore_etcd_connected") > 0.5 ? pb::NodeFigures::ANSWERS
                                                                             : pb::NodeFigures::LOST);
    figures.set_chunks_missing(static_cast<uint64_t>(metrics.gauge_total("sandstore_repair_missing_chunks")));
    figures.set_chunks_repaired(metrics.counter_total("sandstore_repair_fetched_total"));
    figures.set_chunks_collected(metrics.counter_total("sandstore_repair_deleted_total"));
    before_ = std::move(now);
    return figures;
}

void FiguresSampler::on_timer() {
    const uint64_t now_us = host_.now_us();
    pb::NodeFigures figures = take();
    figures.set_loop_delay_us(now_us > due_us_ ? now_us - due_us_ : 0);
    Message message = message_of(std::move(figures));
    message->set_to_actor(pb::ACTOR_STATUS);
    message->set_from_actor(pb::ACTOR_EXTERNAL);
    host_.deliver(std::move(message));
    // The next one a second after this one was due, unless the loop was away for longer than that.
    due_us_ += kIntervalUs;
    if (due_us_ <= now_us) due_us_ = now_us + kIntervalUs;
    timer_.start_us(due_us_ - now_us);
}

}  // namespace sandstore
