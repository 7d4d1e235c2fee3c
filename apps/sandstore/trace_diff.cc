#include "apps/sandstore/trace_diff.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>
#include <unordered_map>

#include "runtime/random.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr size_t kChainShown = 8;
constexpr size_t kNone = SIZE_MAX;

unsigned long long wide(uint64_t number) {
    return number;
}

// The deliveries of a trace, each with a key made of its causes: "what the first StartRaft made the raft actor send as
// its second effect". What no recorded effect caused counts by sender, receiver and type.
class CauseChains {
 public:
    explicit CauseChains(TurnReader& trace) {
        TraceTurn turn;
        while (trace.next(&turn)) {
            if (turn.head.has_stop()) end_ = turn.head.stop().reason();
            if (turn.head.has_deliver()) add(std::move(turn));
        }
    }

    struct Link {
        TraceTurn turn;
        uint64_t key = 0;
        size_t cause = kNone;  // Of the deliveries.
    };
    const std::vector<Link>& links() const { return links_; }
    const std::string& end() const { return end_; }
    const Link* find(uint64_t key) const {
        auto found = by_key_.find(key);
        return found == by_key_.end() ? nullptr : &links_[found->second];
    }

 private:
    using Local = std::pair<int, uint32_t>;
    using Route = std::tuple<Local, Local, int>;  // From, to, body.
    struct Pending {
        size_t cause;
        uint32_t ordinal;
    };

    static Route route_of(const pb::Envelope& envelope) {
        return {{envelope.from_actor(), envelope.from_instance()},
                {envelope.to_actor(), envelope.to_instance()},
                envelope.body_case()};
    }

    void add(TraceTurn turn) {
        Link link;
        const std::optional<Pending> caused = take_cause(turn.envelope());
        uint64_t base = 0;
        if (caused) {
            link.cause = caused->cause;
            base = mix64(links_[caused->cause].key + caused->ordinal + 1);
        } else {
            // Who sent it is all that is known.
            const std::string& node = turn.envelope().from_node();
            const auto [from, to, body] = route_of(turn.envelope());
            base = mix64(std::hash<std::string>{}(node) ^ mix64(static_cast<uint64_t>(from.first) << 32 | from.second) ^
                         mix64(mix64(static_cast<uint64_t>(to.first) << 32 | to.second) + static_cast<uint64_t>(body)));
        }
        link.key = mix64(base + occurrences_[base]++);
        for (const pb::TraceEffect& effect : turn.effects) expect(effect, links_.size(), turn.envelope());
        by_key_[link.key] = links_.size();
        link.turn = std::move(turn);
        links_.push_back(std::move(link));
    }

    // What this effect will cause, when it comes back as a delivery.
    void expect(const pb::TraceEffect& effect, size_t cause, const pb::Envelope& of) {
        if (effect.has_arm_timer()) {
            timers_[{{of.to_actor(), of.to_instance()}, effect.arm_timer().timer_id()}] = {cause, effect.ordinal()};
        } else if (effect.has_send()) {
            const pb::Envelope& sent = effect.send();
            if (sent.request_id() != 0)
                requests_[{{sent.from_actor(), sent.from_instance()}, sent.request_id()}] = {cause, effect.ordinal()};
            if (sent.to_node().empty()) sent_[route_of(sent)].push_back({cause, effect.ordinal()});
        }
    }

    std::optional<Pending> take_cause(const pb::Envelope& envelope) {
        const Local self{envelope.to_actor(), envelope.to_instance()};
        if (envelope.has_timer_fired()) return take(timers_, {self, envelope.timer_fired().timer_id()});
        if (envelope.from_node().empty()) {
            auto found = sent_.find(route_of(envelope));
            if (found != sent_.end() && !found->second.empty()) {
                const Pending pending = found->second.front();
                found->second.pop_front();
                return pending;
            }
        }
        // The answer of a port or of another node.
        if (envelope.reply_to() != 0) return take(requests_, {self, envelope.reply_to()});
        return std::nullopt;
    }

    using Numbered = std::map<std::pair<Local, uint64_t>, Pending>;
    static std::optional<Pending> take(Numbered& from, const std::pair<Local, uint64_t>& key) {
        auto found = from.find(key);
        if (found == from.end()) return std::nullopt;
        const Pending pending = found->second;
        from.erase(found);
        return pending;
    }

    std::vector<Link> links_;
    std::unordered_map<uint64_t, size_t> by_key_;
    std::unordered_map<uint64_t, uint64_t> occurrences_;
    Numbered timers_;
    Numbered requests_;
    std::map<Route, std::deque<Pending>> sent_;
    std::string end_;
};

// Compares what was said and done; not when, and not the numbers that a run draws for its requests.
class TurnComparison {
 public:
    explicit TurnComparison(bool same_seed) {
        const auto ignore = [this](const google::protobuf::Descriptor* type, const char* field) {
            differencer_.IgnoreField(type->FindFieldByName(field));
        };
        ignore(pb::Envelope::descriptor(), "deadline_us");
        ignore(pb::TraceEffect::descriptor(), "cause");
        if (same_seed) return;
        ignore(pb::Envelope::descriptor(), "request_id");
        ignore(pb::Envelope::descriptor(), "reply_to");
    }

    // Empty when they are the same, else what differs.
    std::string compare(const TraceTurn& left, const TraceTurn& right, TraceText& of_left, TraceText& of_right) {
        std::string fields;
        if (!equal(left.envelope(), right.envelope(), &fields) ||
            !equal(left.delivery().payload(), right.delivery().payload(), &fields)) {
            return str_cat("what was delivered differs\n  left:  ", of_left.delivery(left.delivery()),
                           "\n  right: ", of_right.delivery(right.delivery()), "\n", indented(fields));
        }
        for (size_t i = 0; i < std::max(left.effects.size(), right.effects.size()); i++) {
            const bool has_left = i < left.effects.size();
            const bool has_right = i < right.effects.size();
            if (has_left && has_right && equal(left.effects[i], right.effects[i], &fields)) continue;
            return str_cat("effect ", i, " differs\n  left:  ", has_left ? of_left.effect(left.effects[i]) : "nothing",
                           "\n  right: ", has_right ? of_right.effect(right.effects[i]) : "nothing", "\n",
                           indented(fields));
        }
        return "";
    }

 private:
    bool equal(const google::protobuf::Message& left, const google::protobuf::Message& right, std::string* fields) {
        fields->clear();
        differencer_.ReportDifferencesToString(fields);
        return differencer_.Compare(left, right);
    }
    static std::string indented(const std::string& fields) {
        std::string text;
        for (size_t at = 0; at < fields.size();) {
            const size_t end = std::min(fields.find('\n', at), fields.size());
            str_append(&text, "    ", fields.substr(at, end - at), "\n");
            at = end + 1;
        }
        return text;
    }

    google::protobuf::util::MessageDifferencer differencer_;
};

void print_chain(const CauseChains& chains, const CauseChains::Link& last, TraceText& text, std::FILE* out) {
    std::vector<const CauseChains::Link*> chain;
    for (const CauseChains::Link* link = &last; chain.size() < kChainShown; link = &chains.links()[link->cause]) {
        chain.push_back(link);
        if (link->cause == kNone) break;
    }
    std::fprintf(out, "led to by\n");
    for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
        std::fprintf(out, "  %-8llu %s\n", wide((*link)->turn.delivery().sequence()),
                     text.delivery((*link)->turn.delivery()).c_str());
    }
}

}  // namespace

bool diff_traces(TurnReader& left, TurnReader& right, TurnSelection selection, std::FILE* out) {
    TraceText left_text(left.header());
    TraceText right_text(right.header());
    const CauseChains left_chains(left);
    const CauseChains right_chains(right);
    TurnComparison comparison(left.header().root_seed() == right.header().root_seed());

    struct Difference {
        uint64_t sequence;
        const CauseChains::Link* link;
        bool is_left;
        std::string what;
    };
    std::optional<Difference> first;
    uint64_t same = 0;
    uint64_t differ = 0;
    uint64_t only_left = 0;
    uint64_t only_right = 0;
    const auto note = [&first](const CauseChains::Link& link, bool is_left, const std::string& what) {
        const uint64_t sequence = link.turn.delivery().sequence();
        if (!first || sequence < first->sequence) first = Difference{sequence, &link, is_left, what};
    };
    TurnSelection of_right = selection;
    for (const CauseChains::Link& link : left_chains.links()) {
        if (!selection.wants(link.turn, left_text)) continue;
        const CauseChains::Link* other = right_chains.find(link.key);
        if (other == nullptr) {
            only_left++;
            note(link, true, "it is only in the left trace\n");
            continue;
        }
        const std::string what = comparison.compare(link.turn, other->turn, left_text, right_text);
        what.empty() ? same++ : differ++;
        if (!what.empty()) note(link, true, what);
    }
    for (const CauseChains::Link& link : right_chains.links()) {
        if (!of_right.wants(link.turn, right_text) || left_chains.find(link.key) != nullptr) continue;
        only_right++;
        note(link, false, "it is only in the right trace\n");
    }
    if (first) {
        std::fprintf(out, "first difference: delivery %llu of the %s trace: %s", wide(first->sequence),
                     first->is_left ? "left" : "right", first->what.c_str());
        print_chain(first->is_left ? left_chains : right_chains, *first->link, first->is_left ? left_text : right_text,
                    out);
    }
    const bool same_end = left_chains.end() == right_chains.end();
    if (!same_end) {
        std::fprintf(out, "the end differs\n  left:  %s\n  right: %s\n", left_chains.end().c_str(),
                     right_chains.end().c_str());
    }
    std::fprintf(out, "%s: %llu deliveries the same, %llu different, %llu only left, %llu only right\n",
                 first || !same_end ? "DIFFERENT" : "SAME", wide(same), wide(differ), wide(only_left),
                 wide(only_right));
    return !first && same_end;
}

}  // namespace sandstore
