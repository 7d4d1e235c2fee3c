#include "actors/fs/sessions.h"

#include <algorithm>

#include "actors/fs/limits.h"
#include "actors/fs/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

void Sessions::configure(uint64_t timeout_us, size_t sessions_max) {
    timeout_us_ = timeout_us;
    sessions_max_ = std::max<size_t>(sessions_max, 1);
}

bool Sessions::expired(const Session& session, uint64_t clock_us) const {
    return clock_us > session.last_active_us && clock_us - session.last_active_us > timeout_us_;
}

void Sessions::expire(uint64_t clock_us, size_t sessions_dropped_max) {
    for (size_t i = 0; i < sessions_dropped_max && !by_activity_.empty(); ++i) {
        const auto oldest = sessions_.find(by_activity_.begin()->second);
        if (!expired(oldest->second, clock_us)) return;
        erase(oldest);
    }
}

void Sessions::open(uint64_t session_id, uint64_t clock_us) {
    while (sessions_.size() >= sessions_max_) erase(sessions_.find(by_activity_.begin()->second));
    Session session;
    session.last_active_us = clock_us;
    hash_ += hash_of(session_id, session);
    by_activity_.insert({clock_us, session_id});
    const bool opened = sessions_.insert({session_id, std::move(session)}).second;
    SANDSTORE_CHECK(opened, "session ", session_id, " is open already");
}

bool Sessions::close(uint64_t session_id, uint64_t clock_us) {
    const auto found = sessions_.find(session_id);
    if (found == sessions_.end()) return false;
    const bool was_open = !expired(found->second, clock_us);
    erase(found);
    return was_open;
}

Sessions::Admission Sessions::admit(uint64_t session_id, uint64_t sequence, uint64_t oldest_needed, uint64_t clock_us,
                                    std::string* result) {
    const auto found = sessions_.find(session_id);
    if (found == sessions_.end() || expired(found->second, clock_us)) return Admission::kUnknown;
    touch(found, clock_us);
    forget_below(found, std::min(oldest_needed, sequence));
    Session& session = found->second;
    const auto known = session.results.find(sequence);
    if (known != session.results.end()) {
        *result = known->second;
        return Admission::kDuplicate;
    }
    return sequence < session.forgotten_below ? Admission::kForgotten : Admission::kNew;
}

void Sessions::remember(uint64_t session_id, uint64_t sequence, const std::string& result) {
    const auto found = sessions_.find(session_id);
    SANDSTORE_CHECK(found != sessions_.end(), "session ", session_id);
    const bool added = found->second.results.insert({sequence, result}).second;
    SANDSTORE_CHECK(added, "session ", session_id, " sequence ", sequence, " was applied already");
    hash_ += hash_of_result(session_id, sequence, result);
    while (found->second.results.size() > kSessionResultsMax) {
        forget_below(found, found->second.results.begin()->first + 1);
    }
}

size_t Sessions::results_of(uint64_t session_id) const {
    const auto found = sessions_.find(session_id);
    return found == sessions_.end() ? 0 : found->second.results.size();
}

void Sessions::touch(Table::iterator session, uint64_t clock_us) {
    const auto& [id, state] = *session;
    if (state.last_active_us == clock_us) return;
    hash_ -= hash_of(id, state);
    by_activity_.erase({state.last_active_us, id});
    session->second.last_active_us = clock_us;
    by_activity_.insert({clock_us, id});
    hash_ += hash_of(id, state);
}

void Sessions::forget_oldest(Table::iterator session) {
    auto& results = session->second.results;
    hash_ -= hash_of_result(session->first, results.begin()->first, results.begin()->second);
    results.erase(results.begin());
}

void Sessions::forget_below(Table::iterator session, uint64_t sequence) {
    auto& [id, state] = *session;
    if (sequence <= state.forgotten_below) return;
    hash_ -= hash_of(id, state);
    state.forgotten_below = sequence;
    hash_ += hash_of(id, state);
    while (!state.results.empty() && state.results.begin()->first < sequence) forget_oldest(session);
}

void Sessions::erase(Table::iterator session) {
    SANDSTORE_CHECK(session != sessions_.end(), "the sessions and their order by activity disagree");
    while (!session->second.results.empty()) forget_oldest(session);
    hash_ -= hash_of(session->first, session->second);
    by_activity_.erase({session->second.last_active_us, session->first});
    sessions_.erase(session);
}

uint64_t Sessions::hash_of(uint64_t id, const Session& session) {
    return StateHasher(StateHasher::Kind::kSession)
        .add(id)
        .add(session.last_active_us)
        .add(session.forgotten_below)
        .value();
}

uint64_t Sessions::hash_of_result(uint64_t id, uint64_t sequence, const std::string& result) {
    return StateHasher(StateHasher::Kind::kSessionResult).add(id).add(sequence).add(result).value();
}

uint64_t Sessions::walk_hash() const {
    uint64_t sum = 0;
    for (const auto& [id, session] : sessions_) {
        sum += hash_of(id, session);
        for (const auto& [sequence, result] : session.results) sum += hash_of_result(id, sequence, result);
    }
    return sum;
}

}  // namespace sandstore
