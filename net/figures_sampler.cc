#include "net/figures_sampler.h"

#include <algorithm>
#include <utility>

#include "messages/fs.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kRequests = "sandstore_request_duration_seconds";

std::vector<std::string> mutation_labels() {
    std::vector<std::string> labels;
    const auto* operations = pb::Mutation::descriptor()->FindOneofByName("operation");
    for (int i = 0; i < operations->field_count(); ++i) {
        labels.push_back(str_cat("op=\"", operations->field(i)->name(), "\""));
    }
    return labels;
}

bool has(std::string_view labels, std::string_view label) {
    return labels.find(label) != std::string_view::npos;
}

// The namespace gave no answer: asked of the wrong node, too late, or of one that had too much to do.
bool is_failure(std::string_view labels) {
    for (const std::string_view code :
         {"not_leader", "unavailable", "deadline_exceeded", "resource_exhausted", "internal"}) {
        if (has(labels, str_cat("code=\"", code, "\""))) return true;
    }
    return false;
}

// What happened between the two, of which the second is kept.
Histogram since(const Histogram& before, const Histogram& now) {
    Histogram difference = now;
    difference.subtract(before);
    return difference;
}

}  // namespace

FiguresSampler::FiguresSampler(event_base* base, PortHost& host)
    : host_(host), mutations_(mutation_labels()), before_(look()), timer_(base, [this] { on_timer(); }) {
    timer_.start_us(kIntervalUs);
}

FiguresSampler::Seen FiguresSampler::look() {
    const MetricsRegistry& metrics = host_.metrics();
    const auto of_files = [](std::string_view labels) { return has(labels, "api=\"files\""); };
    const auto is_mutation = [&](std::string_view labels) {
        if (!of_files(labels) || !has(labels, "code=\"ok\"")) return false;
        return std::ranges::any_of(mutations_, [&](const std::string& label) { return has(labels, label); });
    };
    return {
        .at_us = host_.now_us(),
        .received_bytes = metrics.counter_total("sandstore_net_received_bytes_total"),
        .sent_bytes = metrics.counter_total("sandstore_net_sent_bytes_total"),
        .chunk_puts = metrics.counter_total("sandstore_chunk_puts_total"),
        .chunk_gets = metrics.counter_total("sandstore_chunk_gets_total"),
        .messages = metrics.counter_total("sandstore_messages_delivered_total"),
        .slow_turns = metrics.counter_total("sandstore_slow_turns_total"),
        .requests = metrics.histogram_total(
            kRequests, [&](std::string_view labels) { return of_files(labels) && !is_failure(labels); }),
        .failures = metrics.histogram_total(
            kRequests, [&](std::string_view labels) { return of_files(labels) && is_failure(labels); }),
        .mutations = metrics.histogram_total(kRequests, is_mutation),
        .syncs = metrics.histogram_total("sandstore_wal_fsync_duration_seconds"),
        .loop_lag = metrics.histogram_total("sandstore_loop_lag_seconds"),
    };
}

pb::NodeFigures FiguresSampler::take() {
    Seen now = look();
    const Histogram mutations = since(before_.mutations, now.mutations), syncs = since(before_.syncs, now.syncs);
    pb::NodeFigures figures;
    figures.set_interval_us(now.at_us - before_.at_us);
    figures.set_requests(since(before_.requests, now.requests).count());
    figures.set_failures(since(before_.failures, now.failures).count());
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
    figures.set_loop_delay_us(since(before_.loop_lag, now.loop_lag).quantile_us(0.99));
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
    Message message = message_of(take());
    message->set_to_actor(pb::ACTOR_STATUS);
    message->set_from_actor(pb::ACTOR_EXTERNAL);
    host_.deliver(std::move(message));
    timer_.start_us(kIntervalUs);
}

}  // namespace sandstore
