// RaftCore: entries from the leader to its peers.
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"

namespace sandstore {

// --- Follower

void RaftCore::on_append_entries(std::string_view from, const pb::AppendEntries& request, const Payload& payload) {
    if (request.term() < term_) {
        pb::AppendReply reply;
        reply.set_term(term_);
        reply.set_prev_log_index(request.prev_log_index());
        send(from, message_of(std::move(reply)), Gate::kTerm);  // The sequence means nothing in this term.
        return;
    }
    hear_leader(request.term(), from);
    // What was compacted is committed, so it is the same in the leader's log.
    const uint64_t compacted = terms_.first_index() - 1;
    if (request.prev_log_index() >= compacted && !terms_.matches(request.prev_log_index(), request.prev_log_term())) {
        refuse_append(from, request);
        return;
    }
    std::vector<Record> records;
    if (!parse_records(request, payload, &records)) {
        effects_.damaged_message = true;
        return;
    }
    if (are_beyond_us(records)) return;
    const uint64_t last_of_request = request.prev_log_index() + records.size();
    // What room is left is for terms and votes. The leader sends the entries again.
    const bool has_news = !records.empty() && !terms_.matches(last_of_request, records.back().term);
    if (disk_exhausted_ && has_news && last_of_request >= terms_.first_index()) return;
    adopt_records(records);
    // What the request proved, never our own longer log: it may hold what the leader does not have.
    const uint64_t match = planted("match-from-own-log") ? terms_.last_index() : std::max(last_of_request, compacted);
    set_commit(std::min(request.leader_commit(), match));
    pb::AppendReply reply;
    reply.set_term(term_);
    reply.set_success(true);
    reply.set_prev_log_index(request.prev_log_index());
    reply.set_match_index(match);
    reply.set_sequence(request.sequence());
    send(from, message_of(std::move(reply)), Gate::kAll);
}

bool RaftCore::parse_records(const pb::AppendEntries& request, const Payload& payload, std::vector<Record>* records) {
    RecordReader reader(payload);
    Record record;
    uint64_t index = request.prev_log_index();
    uint64_t term = request.prev_log_term();
    while (reader.next(&record)) {
        if (record.index != ++index || record.term < term || record.term > request.term()) return false;
        Configuration configuration;
        if (record.type == RecordType::kConfiguration &&
            !Configuration::parse(record.data.to_string(), &configuration)) {
            return false;
        }
        term = record.term;
        records->push_back(std::move(record));
    }
    return !reader.damaged() && records->size() == request.record_count();
}

// Skips what is there already, replaces what conflicts, appends the rest.
void RaftCore::adopt_records(const std::vector<Record>& records) {
    const auto is_known = [this](const Record& record) {
        return record.index < terms_.first_index() || terms_.matches(record.index, record.term);
    };
    size_t known = 0;
    while (known < records.size() && is_known(records[known])) known++;
    if (planted("late-append-truncates") && known > 0 && known == records.size() &&
        records.back().index > commit_index_ && records.back().index >= terms_.first_index()) {
        known--;
    }
    if (known == records.size()) return;  // A late or repeated request takes nothing away.
    const uint64_t first = records[known].index;
    if (first <= terms_.last_index()) {
        SANDSTORE_CHECK(first > commit_index_, "committed entry ", first, " would be replaced, commit=", commit_index_);
        terms_.truncate_after(first - 1);
        cache_.truncate_after(first - 1);
        if (!planted("configuration-not-rolled-back")) configurations_.truncate_after(first - 1);
        persisted_index_ = std::min(persisted_index_, first - 1);
    }
    write_first_index_ = first;
    for (size_t i = known; i < records.size(); i++) {
        terms_.append(records[i].term);
        cache_.append(records[i].bytes);
        write_records_.append(records[i].bytes);
        write_count_++;
        if (records[i].type != RecordType::kConfiguration) continue;
        Configuration configuration;
        SANDSTORE_CHECK(Configuration::parse(records[i].data.to_string(), &configuration), "at ", records[i].index);
        if (records[i].index > configuration_index())
            configurations_.append(records[i].index, std::move(configuration));
    }
}

void RaftCore::refuse_append(std::string_view from, const pb::AppendEntries& request) {
    // The best point at which the logs may agree, found by term: at most one round for each term (thesis 3.5).
    const uint64_t hint =
        terms_.last_at_or_below(std::min(request.prev_log_index(), terms_.last_index()), request.prev_log_term());
    pb::AppendReply reply;
    reply.set_term(term_);
    reply.set_prev_log_index(request.prev_log_index());
    reply.set_hint_index(hint);
    reply.set_hint_term(terms_.term_at(hint).value_or(0));
    reply.set_sequence(request.sequence());
    send(from, message_of(std::move(reply)), Gate::kTerm);
}

// --- Leader

RaftCore::ProposeOutcome RaftCore::propose(RaftInput input, std::vector<Proposal> proposals, uint64_t* first_index) {
    start_event(input);
    if (!is_leader()) return ProposeOutcome::kNotLeader;
    if (!transfer_target_.empty() && !planted("writes-during-transfer")) return ProposeOutcome::kTransferring;
    if (disk_exhausted_) return ProposeOutcome::kDiskFull;
    if (uncommitted_bytes_ >= options_.uncommitted_bytes_max && !planted("uncommitted-tail-unbounded")) {
        return ProposeOutcome::kTooMuchUncommitted;
    }
    *first_index = terms_.last_index() + 1;
    append_own(std::move(proposals));
    send_appends_to_all();
    finish_event();
    return ProposeOutcome::kAccepted;
}

// Encodes the entries once, into one buffer that log, cache and peers share.
void RaftCore::append_own(std::vector<Proposal> proposals) {
    std::string encoded;
    size_t total = 0;
    for (const Proposal& proposal : proposals) total += kRecordHeaderBytes + proposal.data.size();
    encoded.reserve(total);
    std::vector<size_t> starts;
    const uint64_t first = terms_.last_index() + 1;
    for (const Proposal& proposal : proposals) {
        starts.push_back(encoded.size());
        append_record(&encoded, term_, first + starts.size() - 1, proposal.type, proposal.data);
    }
    const Payload records(std::move(encoded));
    starts.push_back(records.size());
    for (size_t i = 0; i + 1 < starts.size(); i++) {
        const uint64_t bytes = starts[i + 1] - starts[i];
        cache_.append(records.slice(starts[i], bytes));
        uncommitted_.push_back({first + i, bytes});
        uncommitted_bytes_ += bytes;
    }
    terms_.append(term_, proposals.size());
    if (write_count_ == 0) write_first_index_ = first;
    write_count_ += static_cast<uint32_t>(proposals.size());
    write_records_.append(records);
}

void RaftCore::send_appends_to_all() {
    for (auto& [peer, progress] : peers_) send_appends(peer, progress);
}

void RaftCore::send_appends(const std::string& peer, Progress& progress) {
    if (unreachable_.contains(peer)) return;
    const uint64_t window = planted("append-window-ignored") ? UINT64_MAX : options_.append_window;
    while (progress.may_send(window, options_.append_window_bytes)) {
        const uint64_t next = progress.next();
        if (next < terms_.first_index()) {
            progress.await_snapshot();
            effects_.snapshots_for_peers.push_back(peer);
            return;
        }
        const bool nothing_new = next > terms_.last_index();
        if (nothing_new && progress.state() == Progress::State::kReplicate) return;
        if (nothing_new) {
            send_records(peer, progress, next - 1, 0, Payload());
            return;
        }
        if (!cache_.contains(next)) {
            progress.set_reading(true);
            effects_.reads_for_peers.push_back(
                {peer, next, std::min(cache_.first_index() - 1, terms_.last_index()), options_.append_bytes_max});
            return;
        }
        EntryCache::Range range = cache_.range(next, terms_.last_index(), options_.append_bytes_max);
        send_records(peer, progress, range.last_index, range.count, std::move(range.records));
    }
}

void RaftCore::send_records(const std::string& peer, Progress& progress, uint64_t last_index, uint32_t count,
                            Payload records) {
    const uint64_t previous = progress.next() - 1;
    pb::AppendEntries request;
    request.set_term(term_);
    request.set_prev_log_index(previous);
    request.set_prev_log_term(terms_.term_at(previous).value());
    request.set_record_count(count);
    request.set_leader_commit(commit_index_);
    request.set_sequence(next_sequence());
    request.set_known_start(configuration().start_of(peer));
    progress.sent(last_index, records.size(), input_.now_us);
    send(peer, message_of(std::move(request), std::move(records)), Gate::kNone);
}

void RaftCore::on_records(RaftInput input, std::string_view peer, uint64_t first_index, uint32_t count,
                          Payload records) {
    start_event(input);
    auto found = peers_.find(peer);
    if (is_leader() && found != peers_.end() && found->second.reading()) {
        Progress& progress = found->second;
        progress.set_reading(false);
        // The peer may have been probed elsewhere meanwhile, or the entries compacted: then what was read is of no use.
        const bool useful = count > 0 && first_index == progress.next() && first_index >= terms_.first_index() &&
                            !unreachable_.contains(peer) &&
                            progress.may_send(options_.append_window, options_.append_window_bytes);
        if (useful) send_records(found->first, progress, first_index + count - 1, count, std::move(records));
        if (count > 0 || progress.next() < terms_.first_index()) send_appends(found->first, progress);
    }
    finish_event();
}

RaftCore::Peers::iterator RaftCore::answering(std::string_view from, uint64_t term) {
    if (term > term_) {
        become_follower(term, "");
        return peers_.end();
    }
    const auto found = peers_.find(from);
    if (!is_leader() || term < term_ || found == peers_.end()) return peers_.end();
    found->second.contact(input_.now_us);
    return found;
}

void RaftCore::on_append_reply(std::string_view from, const pb::AppendReply& reply) {
    auto found = answering(from, reply.term());
    if (found == peers_.end()) return;
    Progress& progress = found->second;
    if (reply.success()) {
        SANDSTORE_CHECK(reply.match_index() <= terms_.last_index() || planted("match-from-own-log"), from, " claims ",
                        reply.match_index(), " of a log that ends at ", terms_.last_index());
        if (!progress.is_believed(reply.sequence()) && !planted("lost-entries-counted")) return;
        if (note_match(found->first, progress, std::min(reply.match_index(), terms_.last_index()))) advance_commit();
        go_on_with_transfer();
    } else if (!on_refusal(found->first, progress, reply)) {
        return;
    }
    // Committing may have ended this leadership, or the peer's membership.
    found = peers_.find(from);
    if (found != peers_.end()) send_appends(found->first, found->second);
}

// False: nothing is to be sent because of it. Each refusal that counts moves the next request further back, or was the
// first to say that entries are gone: a peer that refuses for ever is asked once an election timeout.
bool RaftCore::on_refusal(const std::string& peer, Progress& progress, const pb::AppendReply& reply) {
    const uint64_t refused = reply.prev_log_index();
    if (planted("late-refusal-believed")) {
        const uint64_t hint = terms_.last_at_or_below(reply.hint_index(), reply.hint_term());
        if (progress.state() != Progress::State::kSnapshot) progress.probe_from(std::min(hint, refused - 1) + 1);
        return progress.state() != Progress::State::kSnapshot;
    }
    // To another leadership, or of the place where all logs agree.
    if (reply.sequence() == 0 || refused == 0) return false;
    if (refused <= progress.match()) {
        // Overtaken by what we know now, or a loss.
        if (!progress.is_after_match(reply.sequence()) || planted("lost-tail-not-believed")) return false;
        note_loss(peer, progress, reply.sequence());
    } else if (progress.state() == Progress::State::kProbe && refused + 1 != progress.next()) {
        return false;  // An answer to an earlier attempt.
    }
    if (progress.state() == Progress::State::kSnapshot) return false;
    const bool beyond_log = reply.hint_index() + 1 < terms_.first_index();
    const uint64_t agree =
        beyond_log ? reply.hint_index() : terms_.last_at_or_below(reply.hint_index(), reply.hint_term());
    const bool is_slow = planted("one-entry-back-at-a-time");
    progress.probe_from((is_slow ? progress.next() - 2 : std::min(agree, refused - 1)) + 1);
    return true;
}

// What was committed stays so: it is on a quorum, or was, and nobody could tell which entry may be taken back.
void RaftCore::note_loss(const std::string& peer, Progress& progress, uint64_t sequence) {
    const uint64_t lost = progress.match();
    // The term of what was compacted is not known any more, but nobody who lacks that can be elected.
    progress.lose_acknowledged(terms_.term_at(std::max(lost, terms_.first_index() - 1)).value(), sequence);
    effects_.losses.push_back({peer, lost, false});
}

bool RaftCore::note_match(const std::string& peer, Progress& progress, uint64_t index) {
    const uint64_t owed = progress.owed_index();
    const bool is_news = progress.matched(index, input_.now_us, last_sequence_);
    if (owed != 0 && progress.owed_index() == 0) effects_.losses.push_back({peer, owed, true});
    return is_news;
}

}  // namespace sandstore
