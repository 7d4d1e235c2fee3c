#include "apps/sandstore/trace_sequence.h"

#include <algorithm>
#include <set>

#include "runtime/message.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr size_t kLabelFieldsMax = 48;

struct Arrow {
    uint64_t at_us = 0;
    std::string from;
    std::string to;
    std::string label;
    bool is_reply = false;
    bool is_note = false;  // Of `from`.
};

// Mermaid ends a statement at ';' and a line, and reads '#' as an entity.
std::string safe_label(std::string text) {
    for (char& c : text) {
        if (c == ';' || c == '\n' || c == '\r') c = ',';
        if (c == '#' || c == '%' || c == '<' || c == '>') c = ' ';
    }
    return text;
}

class ArrowMaker {
 public:
    ArrowMaker(const std::set<std::string>& traced_nodes, bool several, bool by_node)
        : traced_nodes_(traced_nodes), several_(several), by_node_(by_node) {}

    // The delivery, and what it sent to nodes whose own trace does not show the arrival.
    void add(const std::string& node, const TraceTurn& turn, uint64_t at_us, TraceText& text,
             std::vector<Arrow>* arrows) const {
        const pb::TraceDeliver& delivery = turn.delivery();
        const pb::Envelope& envelope = delivery.envelope();
        const std::string self = participant(node, "", envelope.to_actor(), envelope.to_instance());
        const std::string from =
            participant(node, envelope.from_node(), envelope.from_actor(), envelope.from_instance());
        // Between the actors of a node there is nothing to see when nodes are what is shown.
        if (!by_node_ || from != self)
            arrows->push_back(message(at_us, from, self, envelope, delivery.payload(), text));
        for (const pb::TraceEffect& effect : turn.effects) {
            if (effect.has_fail_stop()) {
                arrows->push_back({at_us, self, "", safe_label(effect.fail_stop().reason()), false, true});
            }
            const pb::Envelope& sent = effect.send();
            if (!effect.has_send() || sent.to_node().empty() || traced_nodes_.contains(sent.to_node())) continue;
            const std::string to = participant(node, sent.to_node(), sent.to_actor(), sent.to_instance());
            arrows->push_back(message(at_us, self, to, sent, effect.payload(), text));
        }
    }
    std::string participant(const std::string& node, const std::string& address_node, pb::ActorKind actor,
                            uint32_t instance) const {
        if (by_node_) return address_node.empty() ? node : address_node;
        return to_string(Address(address_node.empty() && several_ ? node : address_node, actor, instance));
    }

 private:
    static Arrow message(uint64_t at_us, const std::string& from, const std::string& to, const pb::Envelope& envelope,
                         const pb::TracePayload& payload, TraceText& text) {
        std::string label = str_cat(text.type(envelope), " ", text.fields(envelope, kLabelFieldsMax));
        if (payload.length() != 0) str_append(&label, " +", payload.length(), " bytes");
        return {at_us, from, to, safe_label(std::move(label)), envelope.reply_to() != 0, false};
    }

    const std::set<std::string>& traced_nodes_;
    const bool several_;
    const bool by_node_;
};

void print_arrows(const std::vector<Arrow>& arrows, size_t arrows_max, std::FILE* out) {
    const size_t shown = std::min(arrows.size(), arrows_max);
    // Participants in the order in which they appear, under short names of their own.
    std::vector<std::string> names;
    const auto number_of = [&names](const std::string& name) {
        const auto found = std::find(names.begin(), names.end(), name);
        if (found != names.end()) return static_cast<size_t>(found - names.begin());
        names.push_back(name);
        return names.size() - 1;
    };
    std::string body;
    for (size_t i = 0; i < shown; i++) {
        const Arrow& arrow = arrows[i];
        const size_t from = number_of(arrow.from);
        if (arrow.is_note) {
            str_append(&body, "    Note over p", from, ": ", arrow.label, "\n");
            continue;
        }
        str_append(&body, "    p", from, arrow.is_reply ? "-->>" : "->>", "p", number_of(arrow.to), ": ", arrow.label,
                   str_format(" (+%.3f ms)\n", static_cast<double>(arrow.at_us - arrows.front().at_us) / 1e3));
    }
    std::fprintf(out, "sequenceDiagram\n");
    for (size_t i = 0; i < names.size(); i++) {
        std::fprintf(out, "    participant p%zu as %s\n", i, safe_label(names[i]).c_str());
    }
    std::fputs(body.c_str(), out);
    if (shown == arrows.size()) return;
    std::fprintf(out,
                 "    Note over p0: cut: %zu of %zu messages are shown. Choose a slice with --from, --to, --actor, "
                 "--peer, --type, or a larger --limit\n",
                 shown, arrows.size());
}

}  // namespace

void print_sequence(const std::vector<std::unique_ptr<TurnReader>>& traces, const TurnSelection& selection,
                    const SequenceOptions& options, std::FILE* out) {
    std::set<std::string> nodes;
    for (const auto& trace : traces) nodes.insert(trace->header().node_id());
    const ArrowMaker maker(nodes, traces.size() > 1, options.by_node);
    std::vector<Arrow> arrows;
    for (const auto& trace : traces) {
        TraceText text(trace->header());
        TurnSelection of_trace = selection;
        uint64_t at_us = 0;
        TraceTurn turn;
        while (trace->next(&turn)) {
            const std::string& node = trace->header().node_id();
            if (turn.head.has_deliver()) {
                // Summaries have no wall clock; alone, a trace needs none.
                const pb::TraceDeliver& delivery = turn.delivery();
                at_us = std::max<uint64_t>(at_us, traces.size() == 1 ? delivery.now_us() : delivery.wall_us());
                if (of_trace.wants(turn, text)) maker.add(node, turn, at_us, text, &arrows);
            } else if (turn.head.has_restart()) {
                const pb::TraceRestart& restart = turn.head.restart();
                if (!of_trace.wants(turn, text)) continue;
                arrows.push_back({at_us, maker.participant(node, "", restart.actor(), restart.instance()), "",
                                  safe_label(str_cat("restart: ", restart.reason())), false, true});
            } else if (turn.head.has_stop() && !arrows.empty()) {
                arrows.push_back({at_us, arrows.back().to.empty() ? arrows.back().from : arrows.back().to, "",
                                  safe_label(str_cat("the node stopped: ", turn.head.stop().reason())), false, true});
            }
        }
    }
    std::stable_sort(arrows.begin(), arrows.end(), [](const Arrow& a, const Arrow& b) { return a.at_us < b.at_us; });
    print_arrows(arrows, options.arrows_max, out);
}

}  // namespace sandstore
