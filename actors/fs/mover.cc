#include "actors/fs/mover.h"

#include <algorithm>

#include "actors/chunk/chunk_file.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

void Mover::receive(Message message, Context& context) {
    using Body = pb::Envelope;
    switch (message->body_case()) {
        case Body::kStartMover:
            return on_start_mover(message->start_mover(), context);
        case Body::kRoleChanged:
            return on_role_changed(message->role_changed(), context);
        case Body::kConfigurationChanged:
            return on_configuration_changed(message->configuration_changed(), context);
        case Body::kClusterView:
            return on_cluster_view(message->cluster_view());
        case Body::kPeerUp:
            return on_peer(message->peer_up().node_id(), true, context);
        case Body::kPeerDown:
            return on_peer(message->peer_down().node_id(), false, context);
        case Body::kChunkStats:
            // A node speaks for itself only.
            if (!message->from_node().empty() && message->from_node() != message->chunk_stats().node_id()) {
                return context.unexpected(message);
            }
            return placement_.set_stats(message->chunk_stats());
        case Body::kEarlierChunks:
            return on_earlier_chunks(context);
        case Body::kReadIndexReply:
            return on_read_index_reply(message, context);
        case Body::kQueryResult:
            return on_query_result(message, context);
        case Body::kChunkListReply:
            return on_chunk_list_reply(message, context);
        case Body::kStatusReply:
            return on_status(message, message->status_reply().status(), context);
        case Body::kProposeReply:
            return on_propose_reply(message, context);
        case Body::kRequestFailed:
            return on_request_failed(message, context);
        case Body::kTimerFired:
            return on_timer_fired(message->timer_fired(), context);
        default:
            return context.unexpected(message);
    }
}

// --- What this node knows --------------------------------------------------------------------------------------------

void Mover::on_start_mover(const pb::StartMover& start, Context& context) {
    SANDSTORE_CHECK(!started_, "the mover was started twice");
    started_ = true;
    settings_ = start;
    MetricsRegistry& metrics = context.metrics();
    metrics_.too_few =
        &metrics.gauge("sandstore_chunks_too_few_copies", "On the leader: chunks with fewer copies than promised.");
    metrics_.none =
        &metrics.gauge("sandstore_chunks_without_copy", "On the leader: chunks without an intact copy within reach.");
    metrics_.moved =
        &metrics.counter("sandstore_chunks_moved_total", "Chunks whose places this node changed as leader.");
    metrics_.made = &metrics.counter("sandstore_mover_copies_total", "Copies that this node had made as leader.");
    up_.insert(settings_.node_id());
    placement_.set_up(settings_.node_id(), true);
    if (leads_) begin_anew(kEarlyRoundUs, context);
}

void Mover::on_role_changed(const pb::RoleChanged& role, Context& context) {
    const bool leads = role.role() == pb::RoleChanged::LEADER;
    if (leads == leads_) return;
    leads_ = leads;
    report_.Clear();
    // Whoever is away has been so for as long as this leader knows: since now.
    away_since_us_.clear();
    if (started_ && !leads_) report(context);
    begin_anew(kEarlyRoundUs, context);
}

void Mover::on_configuration_changed(const pb::ConfigurationChanged& change, Context& context) {
    configuration_ = change;
    placement_.set_configuration(change.configuration());
    begin_anew(kSoonUs, context);
}

void Mover::on_cluster_view(const pb::ClusterView& view) {
    placement_.set_members(view);
    listed_.clear();
    for (const pb::Member& member : view.members()) listed_.insert(member.id());
}

void Mover::on_peer(const std::string& node, bool up, Context& context) {
    if (node == settings_.node_id()) return;
    placement_.set_up(node, up);
    if (up) {
        up_.insert(node);
        away_since_us_.erase(node);
    } else {
        up_.erase(node);
        away_since_us_.try_emplace(node, context.now_us());
    }
    begin_anew(kEarlyRoundUs, context);
}

// What is copied at the moment goes on: the count that this round brings is just not the last word.
void Mover::on_earlier_chunks(Context& context) {
    if (!started_ || !leads_) return;
    count_again_ = round_.has_value();
    if (report_.current()) {
        report_.set_current(false);
        report(context);
    }
    plan_round(kSoonUs, context);
}

// --- Rounds ----------------------------------------------------------------------------------------------------------

void Mover::begin_anew(uint64_t delay_us, Context& context) {
    round_.reset();
    context.cancel_timer(page_timer_);
    page_timer_ = 0;
    if (!started_) return;
    report_.set_current(false);
    if (leads_) {
        report(context);
        return plan_round(delay_us, context);
    }
    context.cancel_timer(timer_);
    timer_ = 0;
}

// An earlier plan stands.
void Mover::plan_round(uint64_t delay_us, Context& context) {
    if (settings_.interval_ms() == 0) return;
    const uint64_t due_us = context.now_us() + delay_us;
    if (timer_ != 0 && timer_due_us_ <= due_us) return;
    context.cancel_timer(timer_);
    timer_ = context.arm_timer(delay_us, kRoundTimer);
    timer_due_us_ = due_us;
}

void Mover::on_timer_fired(const pb::TimerFired& fired, Context& context) {
    if (fired.tag() == kPageTimer) {
        page_timer_ = 0;
        SANDSTORE_CHECK(round_, "a page without a round");
        return ask_page(context);
    }
    timer_ = 0;
    if (!round_) begin_round(context);
}

void Mover::begin_round(Context& context) {
    ++round_number_;
    round_.emplace();
    count_again_ = false;
    pb::ReadIndex read;
    read.set_leader_only(true);
    ask(pb::ACTOR_RAFT, message_of(read), kRaftTimeoutUs, {Step::kIndex, "", {}, 0}, context);
}

void Mover::on_read_index_reply(const Message& message, Context& context) {
    if (!take_asked(message)) return;
    const pb::ReadIndexReply& reply = message->read_index_reply();
    if (reply.status().code() != pb::STATUS_OK) return fail_round("read index", reply.status(), context);
    round_->index = reply.index();
    know_nodes(*round_, context);
    ask_page(context);
}

void Mover::know_nodes(Round& round, Context& context) {
    const pb::RaftConfiguration& members = configuration_.configuration();
    CopyHomes& nodes = round.nodes;
    for (const auto* names : {&members.voters(), &members.learners(), &members.old_voters()}) {
        nodes.homes.insert(names->begin(), names->end());
    }
    if (members.voters().empty()) nodes.homes = listed_;
    for (const std::string& node : nodes.homes) {
        if (up_.contains(node)) continue;
        const uint64_t since_us = away_since_us_.try_emplace(node, context.now_us()).first->second;
        if (context.now_us() - since_us >= settings_.repair_delay_us()) nodes.gone.insert(node);
    }
    for (const std::string& node : members.leaving()) nodes.homes.erase(node);
    nodes.answering = up_;
    nodes.copies = std::min(settings_.copies(), static_cast<uint32_t>(nodes.homes.size()));
}

void Mover::end_round(Context& context) {
    Round& round = *round_;
    pb::CopiesReport& report = round.report;
    report.set_rounds(report_.rounds() + 1);
    report.set_current(!count_again_);
    report.set_copies(round.nodes.copies);
    report.set_configuration_index(configuration_.index());
    for (const std::string& node : round.nodes.answering) {
        round.counts[node].set_counted(true);
    }
    for (auto& [node, count] : round.counts) {
        count.set_node_id(node);
        *report.add_nodes() = std::move(count);
    }
    if (report.fewer() != report_.fewer() || report.none() != report_.none()) {
        context.info("copies counted", {{"chunks", report.chunks()},
                                        {"too_few", report.fewer()},
                                        {"none", report.none()},
                                        {"problem", report.problem().empty() ? "none" : report.problem()}});
    }
    const bool leaving = !configuration_.configuration().leaving().empty();
    const bool urgent = report.fewer() > 0 || leaving || !report.problem().empty();
    const uint64_t next_us = round.changed > 0 || count_again_ ? kSoonUs
                             : urgent                          ? kRetryUs
                                                               : settings_.interval_ms() * 1000;
    report_ = std::move(report);
    round_.reset();
    this->report(context);
    plan_round(std::min(next_us, settings_.interval_ms() * 1000), context);
}

void Mover::fail_round(std::string_view doing, const pb::Status& status, Context& context) {
    context.debug("a round of the mover ended early", {{"doing", doing}, {"reason", status.message()}});
    round_.reset();
    plan_round(kRetryUs, context);
}

void Mover::report(Context& context) {
    metrics_.too_few->set(static_cast<double>(report_.fewer()));
    metrics_.none->set(static_cast<double>(report_.none()));
    context.send(pb::ACTOR_STATUS, message_of(report_));
}

// --- A page of the namespace, and who holds what of it ---------------------------------------------------------------

void Mover::ask_page(Context& context) {
    Round& round = *round_;
    pb::Query query;
    query.set_minimum_index(round.index);
    pb::ChunksOfNode& chunks = *query.mutable_chunks_of_node();
    chunks.set_every_node(true);
    if (round.after != ChunkKey{}) *chunks.mutable_after() = id_of(round.after);
    chunks.set_limit(kPageChunks);
    ask(pb::ACTOR_STATE_MACHINE, message_of(std::move(query)), kRaftTimeoutUs, {Step::kPage, "", {}, 0}, context);
}

void Mover::on_query_result(const Message& message, Context& context) {
    if (!take_asked(message)) return;
    const pb::QueryResult& result = message->query_result();
    if (result.status().code() != pb::STATUS_OK) return fail_round("query", result.status(), context);
    Round& round = *round_;
    round.page.clear();
    round.page_changed = false;
    for (const pb::ChunkPlace& place : result.chunks()) {
        Chunk& chunk = round.page[key_of(place.id())];
        chunk.copies.places.assign(place.replicas().begin(), place.replicas().end());
        chunk.allocated_at_us = place.allocated_at_us();
    }
    round.last = key_of(result.last_chunk());
    round.done = !result.more();
    round.clock_us = result.clock_us();
    if (round.page.empty()) return end_page(context);
    ask_lists(context);
}

void Mover::ask_lists(Context& context) {
    Round& round = *round_;
    for (const std::string& node : round.nodes.answering) round.listing.emplace(node, round.after);
    for (const auto& [node, after] : round.listing) ask_list(node, after, context);
}

void Mover::ask_list(const std::string& node, ChunkKey after, Context& context) {
    pb::ChunkList list;
    if (after != ChunkKey{}) *list.mutable_after() = id_of(after);
    *list.mutable_until() = id_of(round_->last);
    list.set_limit(kPageChunks);
    ask(chunks_of(node), message_of(std::move(list)), kListTimeoutUs, {Step::kList, node, {}, 0}, context);
}

void Mover::on_chunk_list_reply(const Message& message, Context& context) {
    const std::optional<Asked> asked = take_asked(message);
    if (!asked) return;
    Round& round = *round_;
    const pb::ChunkListReply& reply = message->chunk_list_reply();
    ChunkKey& listed = round.listing.at(asked->node);
    for (const pb::ChunkStatus& status : reply.chunks()) {
        const ChunkKey key = key_of(status.id());
        if (key <= listed || key > round.last) {
            return fail_round(str_cat("list of ", asked->node, ": out of order"), {}, context);
        }
        listed = key;
        const auto chunk = round.page.find(key);
        if (chunk != round.page.end() && !status.damaged()) chunk->second.copies.holders.insert(asked->node);
    }
    if (reply.more() && !reply.chunks().empty()) return ask_list(asked->node, ChunkKey(listed), context);
    end_listing(asked->node, context);
}

// A node that does not tell counts as one that does not answer, for all of the round.
void Mover::end_listing(const std::string& node, Context& context) {
    round_->listing.erase(node);
    if (round_->listing.empty()) make_copies(context);
}

// --- Copies, and then places -----------------------------------------------------------------------------------------

void Mover::make_copies(Context& context) {
    Round& round = *round_;
    for (const auto& [key, chunk] : round.page) {
        for (std::string& node : copies_to_make(chunk.copies, round.nodes)) {
            round.fetches.emplace_back(key, std::move(node));
        }
    }
    fetch_next(context);
}

void Mover::fetch_next(Context& context) {
    Round& round = *round_;
    while (!round.fetches.empty() && round.fetches_in_flight < kFetchesInFlightMax) {
        auto [key, node] = std::move(round.fetches.front());
        round.fetches.pop_front();
        const Chunk& chunk = round.page.at(key);
        pb::ChunkFetch fetch;
        pb::ChunkPlace& place = *fetch.mutable_place();
        *place.mutable_id() = id_of(key);
        place.set_allocated_at_us(chunk.allocated_at_us);
        place.add_replicas(node);
        for (const std::string& holder : chunk.copies.holders) {
            if (static_cast<size_t>(place.replicas_size()) < kChunkReplicasMax) place.add_replicas(holder);
        }
        ask(chunks_of(node), message_of(std::move(fetch)), kFetchTimeoutUs, {Step::kFetch, node, key, 0}, context);
        ++round.fetches_in_flight;
    }
    if (round.fetches.empty() && round.fetches_in_flight == 0) change_places(context);
}

void Mover::on_status(const Message& message, const pb::Status& status, Context& context) {
    if (const std::optional<Asked> asked = take_asked(message); asked) end_fetch(*asked, status, context);
}

void Mover::end_fetch(const Asked& asked, const pb::Status& status, Context& context) {
    Round& round = *round_;
    --round.fetches_in_flight;
    if (status.code() == pb::STATUS_OK) {
        round.page.at(asked.key).copies.holders.insert(asked.node);
        round.page_changed = true;
        ++round.changed;
        metrics_.made->add();
    } else {
        round.report.set_problem(str_cat(asked.node, ": ", status.message()));
    }
    fetch_next(context);
}

void Mover::change_places(Context& context) {
    Round& round = *round_;
    pb::MoveChunks moves;
    const auto random = [&context] { return context.random(); };
    const auto choose = [&](const std::vector<std::string>& taken) {
        return placement_.choose_another(taken, settings_.chunk_bytes_max(), random);
    };
    for (auto& [key, chunk] : round.page) {
        const std::vector<std::string> places = next_places(chunk.copies, round.nodes, choose);
        if (places != chunk.copies.places) {
            pb::MoveChunks::Move& move = *moves.add_moves();
            *move.mutable_id() = id_of(key);
            move.mutable_from()->Add(chunk.copies.places.begin(), chunk.copies.places.end());
            move.mutable_to()->Add(places.begin(), places.end());
        }
        count(key, {places, chunk.copies.holders});
    }
    if (moves.moves().empty()) return end_page(context);
    pb::Command command;
    command.set_time_us(context.wall_us());
    command.set_clock_us(round.clock_us);  // No wall clock moves the cluster's.
    *command.mutable_mutation()->mutable_move_chunks() = std::move(moves);
    ask(pb::ACTOR_RAFT, message_of(pb::Propose(), Payload(command.SerializeAsString())), kRaftTimeoutUs,
        {Step::kMove, "", {}, 0}, context);
}

// As it is after the move; should that fail, the round fails with it.
void Mover::count(const ChunkKey& key, const ChunkCopies& copies) {
    Round& round = *round_;
    round.report.set_chunks(round.report.chunks() + 1);
    if (has_too_few_copies(copies, round.nodes)) {
        round.report.set_fewer(round.report.fewer() + 1);
    }
    if (copies.holders.empty()) {
        round.report.set_none(round.report.none() + 1);
        if (round.report.problem().empty()) {
            round.report.set_problem(str_format("no node within reach has an intact copy of chunk %llx-%llx",
                                                static_cast<unsigned long long>(key.term),
                                                static_cast<unsigned long long>(key.number)));
        }
    }
    for (const std::string& node : copies.places) {
        pb::CopiesReport::Node& line = round.counts[node];
        line.set_places(line.places() + 1);
    }
    if (copies.holders.size() != 1) return;
    pb::CopiesReport::Node& line = round.counts[*copies.holders.begin()];
    line.set_last(line.last() + 1);
}

void Mover::on_propose_reply(const Message& message, Context& context) {
    if (!take_asked(message)) return;
    const pb::ProposeReply& reply = message->propose_reply();
    if (reply.status().code() != pb::STATUS_OK) return fail_round("move", reply.status(), context);
    pb::MutationResult result;
    if (!result.ParseFromString(reply.result()) || result.status().code() != pb::STATUS_OK) {
        return fail_round("move", result.status(), context);
    }
    round_->page_changed = true;
    round_->changed += result.moved() + 1;  // Also when somebody else was faster: it has to be looked at again.
    metrics_.moved->add(result.moved());
    end_page(context);
}

void Mover::end_page(Context& context) {
    Round& round = *round_;
    if (round.done) return end_round(context);
    round.after = round.last;
    if (round.page_changed) return ask_page(context);
    page_timer_ = context.arm_timer(kPagePauseUs, kPageTimer);
}

// --- Asking ----------------------------------------------------------------------------------------------------------

Address Mover::chunks_of(const std::string& node) const {
    return Address(node == settings_.node_id() ? "" : node, pb::ACTOR_CHUNKS);
}

void Mover::ask(const Address& to, Message message, uint64_t timeout_us, Asked asked, Context& context) {
    asked.round = round_number_;
    asked_.emplace(context.ask(to, std::move(message), timeout_us), std::move(asked));
}

// The answers of earlier rounds come too late to mean anything.
std::optional<Mover::Asked> Mover::take_asked(const Message& message) {
    const auto found = asked_.extract(message->reply_to());
    if (found.empty() || !round_ || found.mapped().round != round_number_) return std::nullopt;
    return found.mapped();
}

void Mover::on_request_failed(const Message& message, Context& context) {
    const std::optional<Asked> asked = take_asked(message);
    if (!asked) return;
    const pb::Status& status = message->request_failed().status();
    switch (asked->step) {
        case Step::kList:
            // What was counted on earlier pages would not be true any more.
            if (round_->after != ChunkKey{}) return fail_round("list", status, context);
            round_->nodes.answering.erase(asked->node);
            return end_listing(asked->node, context);
        case Step::kFetch:
            return end_fetch(*asked, status, context);
        default:
            return fail_round("request", status, context);
    }
}

}  // namespace sandstore
