// What a leader knows of one peer's log, and how much it may send it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "runtime/check.h"

namespace sandstore {

// What a peer says of itself with each heartbeat's answer.
struct PeerHealth {
    uint32_t election_priority = 50;
    bool disk_full = false;
    bool disk_slow = false;
    bool waits_for_operator = false;
    uint32_t feature_level = 0;  // The highest that it knows; 0: not heard yet.
};

// Invariant: match < next.
//
// What a peer has acknowledged it may lose (a disk that came back older, or without its end). Requests are numbered and
// answers repeat the number, so that such a loss is told from a refusal that was overtaken: who refuses, at or below
// match, a request that was sent after match was known, has lost acknowledged entries. From then on the peer owes them:
// what it answered to earlier requests is believed no more, and until it has everything again it counts for nothing.
class Progress {
 public:
    enum class State {
        kProbe,      // Where the logs agree is unknown: one append at a time.
        kReplicate,  // Appends are sent ahead, within the window.
        kSnapshot,   // It needs entries that are gone: nothing is sent until it has a snapshot.
    };

    Progress() = default;
    Progress(uint64_t last_index, uint64_t now_us) : next_(last_index + 1), last_contact_us_(now_us) {}

    State state() const { return state_; }
    uint64_t match() const { return match_; }
    // What counts toward a commit: nothing of a peer that owes entries.
    uint64_t counted_match() const { return owed_index_ == 0 ? match_ : 0; }
    // It acknowledged entries up to here, and has not got them all any more. 0: it owes nothing.
    uint64_t owed_index() const { return owed_index_; }
    uint64_t owed_term() const { return owed_term_; }
    uint64_t next() const { return next_; }
    uint64_t in_flight() const { return window_.size(); }
    uint64_t in_flight_bytes() const { return window_bytes_; }

    bool may_send(uint64_t window, uint64_t window_bytes) const {
        if (reading_ || state_ == State::kSnapshot) return false;
        if (state_ == State::kProbe) return !probe_sent_;
        return window_.size() < window && window_bytes_ < window_bytes;
    }
    // An append with entries up to `last` (or without any: last == next - 1) was sent.
    void sent(uint64_t last, uint64_t bytes, uint64_t now_us) {
        SANDSTORE_CHECK(last + 1 >= next_, "last=", last, " next=", next_);
        if (state_ == State::kProbe) {
            probe_sent_ = true;
            sent_at_us_ = now_us;
            return;
        }
        if (last < next_) return;
        if (window_.empty()) sent_at_us_ = now_us;
        next_ = last + 1;
        window_.push_back({last, bytes});
        window_bytes_ += bytes;
    }
    // An answer to a request from before the loss may tell of what is lost.
    bool is_believed(uint64_t sequence) const { return sequence >= loss_sequence_; }
    // The request was sent after everything up to match was known to be there.
    bool is_after_match(uint64_t sequence) const { return sequence > match_sequence_; }
    // A refusal of the request `sequence` proves that something up to match is gone; `term` is that of the entry there.
    void lose_acknowledged(uint64_t term, uint64_t sequence) {
        if (match_ > owed_index_) {
            owed_index_ = match_;
            owed_term_ = term;
        }
        match_ = 0;
        loss_sequence_ = sequence;
    }
    // The peer has everything up to `index`. True when that is news. `last_sequence`: of the requests that were sent.
    bool matched(uint64_t index, uint64_t now_us, uint64_t last_sequence) {
        const bool news = index > match_;
        if (news) {
            match_ = index;
            match_sequence_ = last_sequence;
        }
        if (match_ >= owed_index_) owed_index_ = 0;
        if (next_ <= match_) next_ = match_ + 1;
        while (!window_.empty() && window_.front().last <= match_) {
            window_bytes_ -= window_.front().bytes;
            window_.pop_front();
            sent_at_us_ = now_us;
        }
        // A late answer that proves less than the probe asks leaves it asking.
        if (state_ != State::kReplicate && index + 1 >= next_) {
            state_ = State::kReplicate;
            probe_sent_ = false;
        }
        return news;
    }
    // The peer refused: try again from `next`.
    void probe_from(uint64_t next) {
        state_ = State::kProbe;
        probe_sent_ = false;
        window_.clear();
        window_bytes_ = 0;
        next_ = next > match_ ? next : match_ + 1;
    }
    void await_snapshot() {
        probe_from(next_);
        state_ = State::kSnapshot;
    }
    // Nothing was heard of what is in flight for this long: it, or its answer, is lost.
    bool is_stalled(uint64_t now_us, uint64_t patience_us) const {
        const bool waiting = state_ == State::kProbe ? probe_sent_ : !window_.empty();
        return waiting && now_us - sent_at_us_ >= patience_us;
    }

    void contact(uint64_t now_us) {
        last_contact_us_ = now_us;
        was_heard_ = true;
    }
    uint64_t last_contact_us() const { return last_contact_us_; }
    bool was_heard() const { return was_heard_; }  // In this leadership.
    void confirm_round(uint64_t round) {
        if (round > round_) round_ = round;
    }
    uint64_t round() const { return round_; }
    // Until then it elects nobody else.
    void promise_until(uint64_t time_us) {
        if (time_us > promised_until_us_) promised_until_us_ = time_us;
    }
    uint64_t promised_until_us() const { return promised_until_us_; }
    // One heartbeat at a time is timed: the first one sent after the answer to the one before.
    void time_round(uint64_t round, uint64_t now_us) {
        if (timed_round_ != 0) return;
        timed_round_ = round;
        timed_since_us_ = now_us;
    }
    // The answer to `round` is here: how long it took, if that one was timed. An answer to a later one says that the
    // timed one, or its answer, was lost.
    std::optional<uint64_t> round_trip_us(uint64_t round, uint64_t now_us) {
        if (timed_round_ == 0 || round < timed_round_) return std::nullopt;
        const bool is_timed = round == timed_round_;
        timed_round_ = 0;
        return is_timed ? std::optional(now_us - timed_since_us_) : std::nullopt;
    }
    // Older entries for this peer are being read from the log.
    void set_reading(bool reading) { reading_ = reading; }
    bool reading() const { return reading_; }

    PeerHealth health;

    // The configuration at this index leaves the peer out; it is told before it is dropped. 0: it is a member.
    void leave(uint64_t index, uint64_t now_us) {
        leaving_at_ = index;
        leaving_since_us_ = now_us;
    }
    void stay() { leaving_at_ = 0; }
    uint64_t leaving_at() const { return leaving_at_; }
    uint64_t leaving_since_us() const { return leaving_since_us_; }

 private:
    struct Sent {
        uint64_t last;
        uint64_t bytes;
    };

    State state_ = State::kProbe;
    uint64_t match_ = 0;
    uint64_t next_ = 1;
    std::deque<Sent> window_;
    uint64_t window_bytes_ = 0;
    bool probe_sent_ = false;
    bool reading_ = false;
    uint64_t sent_at_us_ = 0;
    uint64_t last_contact_us_ = 0;
    bool was_heard_ = false;
    uint64_t match_sequence_ = 0;  // Of the last request that was sent before match was known.
    uint64_t loss_sequence_ = 0;   // Of the request whose refusal proved the last loss.
    uint64_t owed_index_ = 0;
    uint64_t owed_term_ = 0;
    uint64_t round_ = 0;
    uint64_t promised_until_us_ = 0;
    uint64_t timed_round_ = 0;  // 0: none.
    uint64_t timed_since_us_ = 0;
    uint64_t leaving_at_ = 0;
    uint64_t leaving_since_us_ = 0;
};

}  // namespace sandstore
