#include "apps/sandstore/trace_printer.h"

#include <map>

#include "runtime/message.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

unsigned long long wide(uint64_t number) {
    return number;
}

double seconds(uint64_t microseconds) {
    return static_cast<double>(microseconds) / 1e6;
}

void print_title(const pb::TraceHeader& header, std::FILE* out) {
    std::fprintf(out, "%s of %s, sandstore %s, seed %llu\n",
                 header.is_flight_recording() ? "flight recording" : "trace", header.node_id().c_str(),
                 header.software_version().c_str(), wide(header.root_seed()));
    if (!header.is_flight_recording()) return;
    std::string whole;
    for (const pb::TraceActor& actor : header.whole_lives()) {
        str_append(&whole, whole.empty() ? "" : ", ", to_string(Address(actor.actor(), actor.instance())));
    }
    std::fprintf(out, "from their start: %s; of the other actors the last deliveries\n",
                 whole.empty() ? "none" : whole.c_str());
}

}  // namespace

void print_trace(TurnReader& trace, TurnSelection selection, std::FILE* out) {
    TraceText text(trace.header());
    print_title(trace.header(), out);
    std::optional<uint64_t> first_us;
    TraceTurn turn;
    while (trace.next(&turn)) {
        if (turn.head.has_deliver() && !first_us) first_us = turn.delivery().now_us();
        if (!selection.wants(turn, text)) continue;
        if (turn.head.has_restart()) {
            const pb::TraceRestart& restart = turn.head.restart();
            std::fprintf(out, "restart %s: %s\n", to_string(Address(restart.actor(), restart.instance())).c_str(),
                         restart.reason().c_str());
        } else if (turn.head.has_stop()) {
            std::fprintf(out, "the node stopped in delivery %llu: %s\n", wide(turn.head.stop().cause()),
                         turn.head.stop().reason().c_str());
        } else if (turn.head.has_deliver()) {
            const pb::TraceDeliver& delivery = turn.delivery();
            std::fprintf(out, "%-8llu +%.6fs %s\n", wide(delivery.sequence()), seconds(delivery.now_us() - *first_us),
                         text.delivery(delivery).c_str());
        }
        for (const pb::TraceEffect& effect : turn.effects) {
            std::fprintf(out, "          %s\n", text.effect(effect).c_str());
        }
    }
}

void print_trace_statistics(TurnReader& trace, TurnSelection selection, std::FILE* out) {
    struct Row {
        uint64_t deliveries = 0;
        uint64_t effects = 0;
        uint64_t payload_bytes = 0;
    };
    TraceText text(trace.header());
    print_title(trace.header(), out);
    std::map<std::pair<std::string, std::string>, Row> rows;
    Row all;
    uint64_t first_us = UINT64_MAX;
    uint64_t last_us = 0;
    std::string end;
    TraceTurn turn;
    while (trace.next(&turn)) {
        if (!selection.wants(turn, text)) continue;
        if (turn.head.has_stop()) end = turn.head.stop().reason();
        if (!turn.head.has_deliver()) continue;
        const pb::Envelope& envelope = turn.envelope();
        first_us = std::min<uint64_t>(first_us, turn.delivery().now_us());
        last_us = std::max<uint64_t>(last_us, turn.delivery().now_us());
        for (Row* row :
             {&all, &rows[{to_string(Address(envelope.to_actor(), envelope.to_instance())), text.type(envelope)}]}) {
            row->deliveries++;
            row->effects += turn.effects.size();
            row->payload_bytes += turn.delivery().payload().length();
        }
    }
    const auto print_row = [out](const std::string& actor, const std::string& type, const Row& row) {
        std::fprintf(out, "%-12s %-24s %12llu %12llu %16llu\n", actor.c_str(), type.c_str(), wide(row.deliveries),
                     wide(row.effects), wide(row.payload_bytes));
    };
    std::fprintf(out, "%-12s %-24s %12s %12s %16s\n", "actor", "message", "deliveries", "effects", "payload bytes");
    for (const auto& [key, row] : rows) print_row(key.first, key.second, row);
    print_row("all", "", all);
    if (all.deliveries != 0) std::fprintf(out, "in %.6f s\n", seconds(last_us - first_us));
    if (!end.empty()) std::fprintf(out, "the node stopped: %s\n", end.c_str());
}

}  // namespace sandstore
