#include "apps/sandstore/trace_turns.h"

#include <algorithm>
#include <charconv>

#include "apps/terminal/units.h"
#include "runtime/text.h"

namespace sandstore {

std::unique_ptr<TurnReader> TurnReader::open(const std::string& path, std::string* error) {
    std::unique_ptr<TraceReader> trace = TraceReader::open(path, error);
    if (trace == nullptr) return nullptr;
    return std::unique_ptr<TurnReader>(new TurnReader(std::move(trace), path));
}

bool TurnReader::read() {
    ahead_.emplace();
    switch (trace_->next(&*ahead_)) {
        case TraceReader::Outcome::kRecord:
            return true;
        case TraceReader::Outcome::kEnd:
            break;
        case TraceReader::Outcome::kCutOff:
            note_ = str_cat(path_, " is cut off at offset ", trace_->offset());
            break;
        case TraceReader::Outcome::kDamaged:
            problem_ = str_cat(path_, " is damaged at offset ", trace_->offset());
            break;
    }
    ended_ = true;
    ahead_.reset();
    return false;
}

bool TurnReader::next(TraceTurn* turn) {
    turn->head.Clear();
    turn->effects.clear();
    // Effects without their delivery: the first ones of a flight recording.
    while (!ended_ && (!ahead_ || ahead_->has_effect() || ahead_->has_header())) read();
    if (ended_) return false;
    turn->head = std::move(*ahead_);
    ahead_.reset();
    while (!ended_ && read() && ahead_->has_effect()) turn->effects.push_back(std::move(*ahead_->mutable_effect()));
    return true;
}

std::optional<TracePlace> parse_trace_place(std::string_view text) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return TracePlace{number, std::nullopt};
    const std::optional<uint64_t> time_us = parse_duration_us(text);
    if (!time_us) return std::nullopt;
    return TracePlace{std::nullopt, *time_us};
}

bool TurnSelection::wants(const TraceTurn& turn, TraceText& text) {
    if (turn.head.has_stop()) return true;
    if (turn.head.has_restart()) {
        const pb::TraceRestart& restart = turn.head.restart();
        return !actor || (actor->actor == restart.actor() && actor->instance == restart.instance());
    }
    if (!in_slice(turn.delivery())) return false;
    const pb::Envelope& envelope = turn.envelope();
    if (actor && (actor->actor != envelope.to_actor() || actor->instance != envelope.to_instance())) return false;
    return has_peer(turn) && has_type(turn, text) && matches(turn, text);
}

bool TurnSelection::in_slice(const pb::TraceDeliver& delivery) {
    if (!first_us_) first_us_ = delivery.now_us();
    const uint64_t time_us = delivery.now_us() - std::min(*first_us_, delivery.now_us());
    return delivery.sequence() >= from.sequence.value_or(0) &&
           delivery.sequence() <= to.sequence.value_or(UINT64_MAX) && time_us >= from.time_us.value_or(0) &&
           time_us <= to.time_us.value_or(UINT64_MAX);
}

bool TurnSelection::has_peer(const TraceTurn& turn) const {
    if (peer.empty() || turn.envelope().from_node() == peer) return true;
    return std::any_of(turn.effects.begin(), turn.effects.end(),
                       [this](const pb::TraceEffect& effect) { return effect.send().to_node() == peer; });
}

bool TurnSelection::has_type(const TraceTurn& turn, TraceText& text) const {
    if (types.empty()) return true;
    const auto is_wanted = [&](const pb::Envelope& envelope) {
        return std::find(types.begin(), types.end(), text.type(envelope)) != types.end();
    };
    return is_wanted(turn.envelope()) ||
           std::any_of(turn.effects.begin(), turn.effects.end(),
                       [&](const pb::TraceEffect& effect) { return effect.has_send() && is_wanted(effect.send()); });
}

bool TurnSelection::matches(const TraceTurn& turn, TraceText& text) const {
    if (!pattern || std::regex_search(text.delivery(turn.delivery()), *pattern)) return true;
    return std::any_of(turn.effects.begin(), turn.effects.end(),
                       [&](const pb::TraceEffect& effect) { return std::regex_search(text.effect(effect), *pattern); });
}

}  // namespace sandstore
