#include "actors/state/sessions.h"

#include <algorithm>

#include "actors/state/state_hasher.h"
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
        const uint64_t oldest = by_activity_.begin().key().session;
        const Session* session = sessions_.find(oldest);
        SANDSTORE_CHECK(session != nullptr, "the sessions and their order by activity disagree");
        if (!expired(*session, clock_us)) return;
        erase(oldest);
    }
}

void Sessions::open(uint64_t session_id, uint64_t clock_us) {
    while (sessions_.size() >= sessions_max_) erase(by_activity_.begin().key().session);
    restore(session_id, clock_us, 1);
}

void Sessions::restore(uint64_t session_id, uint64_t last_active_us, uint64_t forgotten_below) {
    const Session session{last_active_us, forgotten_below, 0};
    const bool opened = sessions_.insert(session_id, session);
    SANDSTORE_CHECK(opened, "session ", session_id, " is open already");
    hash_ += hash_of(session_id, session);
    by_activity_.insert({last_active_us, session_id}, {});
}

bool Sessions::close(uint64_t session_id, uint64_t clock_us) {
    const Session* found = sessions_.find(session_id);
    if (found == nullptr) return false;
    const bool was_open = !expired(*found, clock_us);
    erase(session_id);
    return was_open;
}

Sessions::Admission Sessions::admit(uint64_t session_id, uint64_t sequence, uint64_t oldest_needed, uint64_t clock_us,
                                    std::string* result) {
    Session* session = sessions_.edit(session_id);
    if (session == nullptr || expired(*session, clock_us)) return Admission::kUnknown;
    touch(session_id, session, clock_us);
    forget_below(session_id, session, std::min(oldest_needed, sequence));
    const std::string* known = results_.find(ResultKey{session_id, sequence});
    if (known != nullptr) {
        *result = *known;
        return Admission::kDuplicate;
    }
    return sequence < session->forgotten_below ? Admission::kForgotten : Admission::kNew;
}

void Sessions::remember(uint64_t session_id, uint64_t sequence, const std::string& result) {
    restore_result(session_id, sequence, result);
    Session* session = sessions_.edit(session_id);
    while (session->results > kSessionResultsMax) {
        forget_below(session_id, session, results_.lower_bound(ResultKey{session_id, 0}).key().sequence + 1);
    }
}

void Sessions::restore_result(uint64_t session_id, uint64_t sequence, std::string result) {
    Session* session = sessions_.edit(session_id);
    SANDSTORE_CHECK(session != nullptr, "session ", session_id);
    const ResultKey key{session_id, sequence};
    hash_ += hash_of_result(key, result);
    const bool added = results_.insert(key, std::move(result));
    SANDSTORE_CHECK(added, "session ", session_id, " sequence ", sequence, " was applied already");
    ++session->results;
}

size_t Sessions::results_of(uint64_t session_id) const {
    const Session* session = sessions_.find(session_id);
    return session == nullptr ? 0 : session->results;
}

void Sessions::touch(uint64_t session_id, Session* session, uint64_t clock_us) {
    if (session->last_active_us == clock_us) return;
    hash_ -= hash_of(session_id, *session);
    by_activity_.erase(Activity{session->last_active_us, session_id});
    session->last_active_us = clock_us;
    by_activity_.insert({clock_us, session_id}, {});
    hash_ += hash_of(session_id, *session);
}

void Sessions::forget_below(uint64_t session_id, Session* session, uint64_t sequence) {
    if (sequence <= session->forgotten_below) return;
    hash_ -= hash_of(session_id, *session);
    session->forgotten_below = sequence;
    hash_ += hash_of(session_id, *session);
    forget_results(session_id, session, sequence - 1);
}

// Results of sequence numbers up to this one go.
void Sessions::forget_results(uint64_t session_id, Session* session, uint64_t last_sequence) {
    while (session->results > 0) {
        const Results::Cursor oldest = results_.lower_bound(ResultKey{session_id, 0});
        SANDSTORE_CHECK(oldest.valid() && oldest.key().session == session_id, "session ", session_id);
        if (oldest.key().sequence > last_sequence) return;
        const ResultKey key = oldest.key();
        hash_ -= hash_of_result(key, oldest.value());
        results_.erase(key);
        --session->results;
    }
}

void Sessions::erase(uint64_t session_id) {
    Session* session = sessions_.edit(session_id);
    SANDSTORE_CHECK(session != nullptr, "the sessions and their order by activity disagree");
    forget_results(session_id, session, UINT64_MAX);
    hash_ -= hash_of(session_id, *session);
    by_activity_.erase(Activity{session->last_active_us, session_id});
    sessions_.erase(session_id);
}

uint64_t Sessions::hash_of(uint64_t id, const Session& session) {
    return StateHasher(StateHasher::Kind::kSession)
        .add(id)
        .add(session.last_active_us)
        .add(session.forgotten_below)
        .value();
}

uint64_t Sessions::hash_of_result(const ResultKey& key, const std::string& result) {
    return StateHasher(StateHasher::Kind::kSessionResult).add(key.session).add(key.sequence).add(result).value();
}

uint64_t Sessions::walk_hash() const {
    uint64_t sum = 0;
    for (auto at = sessions_.begin(); at.valid(); at.next()) sum += hash_of(at.key(), at.value());
    for (auto at = results_.begin(); at.valid(); at.next()) sum += hash_of_result(at.key(), at.value());
    return sum;
}

}  // namespace sandstore
