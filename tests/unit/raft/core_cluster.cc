#include "tests/unit/raft/core_cluster.h"

#include <algorithm>

#include "actors/raft/feature_check.h"
#include "messages/log.pb.h"
#include "runtime/check.h"

namespace sandstore {

CoreCluster::CoreCluster(int nodes, uint64_t seed, Faults faults, std::function<void(RaftOptions*)> adjust_options)
    : adjust(std::move(adjust_options)), random_(seed, 7), faults_(faults) {
    for (int i = 1; i <= nodes; i++) nodes_["n" + std::to_string(i)];
    for (const std::string& name : names()) start(name);
}

std::vector<std::string> CoreCluster::names() const {
    std::vector<std::string> names;
    for (const auto& [name, node] : nodes_) names.push_back(name);
    return names;
}

void CoreCluster::at(uint64_t delay_us, std::function<void()> run) {
    events_.emplace(now_us_ + delay_us, std::move(run));
}

void CoreCluster::start(const std::string& name) {
    Node& node = nodes_[name];
    pb::LogRecovered recovered;
    recovered.set_first_index(node.log_start + 1);
    recovered.set_last_index(node.log_start + node.log.size());
    recovered.mutable_hard_state()->set_term(node.term);
    recovered.mutable_hard_state()->set_voted_for(node.voted_for);
    for (const Record& record : node.log) {
        const int runs = recovered.term_runs_size();
        if (runs == 0 || recovered.term_runs(runs - 1).term() != record.term) {
            pb::TermRun* run = recovered.add_term_runs();
            run->set_first_index(record.index);
            run->set_term(record.term);
        }
        if (record.type == RecordType::kConfiguration) {
            pb::ConfigurationAt* configuration = recovered.add_configurations();
            configuration->set_index(record.index);
            configuration->set_configuration(record.data.to_string());
        }
    }
    RaftOptions options;
    options.node_id = name;
    for (const auto& [each, other] : nodes_) {
        if (!other.joins) options.bootstrap_voters.push_back(each);
    }
    options.join = node.joins;
    options.append_bytes_max = 2'000;
    options.append_window = 4;
    options.cache_bytes = 20'000;
    node.generation++;
    node.persisted_write = 0;
    if (adjust) adjust(&options);
    const pb::SnapshotMeta* snapshot = node.snapshots.empty() ? nullptr : &node.snapshots.front();
    stopped_[name] = feature_problem(recovered, snapshot, options.feature_level);
    if (!stopped_[name].empty()) return;
    node.core = std::make_unique<RaftCore>(options, recovered, snapshot, input());
    commit_seen_[name] = 0;
    carry_out(name);
}

void CoreCluster::crash(const std::string& name) {
    Node& node = nodes_[name];
    node.core.reset();
    node.generation++;
    node.unsynced.clear();
    node.held.clear();
    node.sync_running = false;
}

void CoreCluster::restart(const std::string& name) {
    if (nodes_[name].core == nullptr) start(name);
}

void CoreCluster::wipe(const std::string& name) {
    Node& node = nodes_[name];
    SANDSTORE_CHECK(node.core == nullptr, name, " runs");
    static_cast<Disk&>(node) = Disk();
    node.joins = true;
}

void CoreCluster::copy_disk(const std::string& name) {
    Node& node = nodes_[name];
    SANDSTORE_CHECK(node.core == nullptr, name, " runs");
    node.copy = node;
}

void CoreCluster::put_back_copy(const std::string& name) {
    Node& node = nodes_[name];
    SANDSTORE_CHECK(node.core == nullptr, name, " runs");
    static_cast<Disk&>(node) = node.copy;
}

void CoreCluster::partition(const std::set<std::string>& side) {
    blocked_.clear();
    for (const std::string& a : names()) {
        for (const std::string& b : names()) {
            if (side.contains(a) != side.contains(b)) blocked_.insert({a, b});
        }
    }
}

void CoreCluster::hang_disk(const std::string& name, bool hung) {
    nodes_[name].disk_hung = hung;
    start_sync(name);
}

bool CoreCluster::propose(const std::string& name, const std::string& data) {
    Node& node = nodes_[name];
    if (node.core == nullptr) return false;
    std::vector<RaftCore::Proposal> proposals;
    proposals.push_back({RecordType::kCommand, Payload(data)});
    uint64_t index = 0;
    const bool accepted =
        node.core->propose(input(), std::move(proposals), &index) == RaftCore::ProposeOutcome::kAccepted;
    carry_out(name);
    return accepted;
}

std::optional<uint64_t> CoreCluster::read(const std::string& name) {
    Node& node = nodes_[name];
    const uint64_t token = next_token_++;
    if (node.core == nullptr) return std::nullopt;
    committed_before_read_[token] = committed_.size();
    if (!node.core->read_index(input(), token)) return std::nullopt;
    carry_out(name);
    return token;
}

void CoreCluster::add_node(const std::string& name) {
    nodes_[name].joins = true;
    start(name);
}

void CoreCluster::take_snapshot(const std::string& name) {
    Node& node = nodes_[name];
    if (node.core == nullptr) return;
    RaftCore& core = *node.core;
    const uint64_t index = core.commit_index();
    if (index == 0 || (!node.snapshots.empty() && node.snapshots.front().index() >= index)) return;
    pb::SnapshotMeta meta;
    meta.set_index(index);
    meta.set_term(core.terms().term_at(index).value());
    const ConfigurationHistory::Entry& in_force = core.configurations().at(index);
    *meta.mutable_configuration() = in_force.configuration.message();
    meta.set_configuration_index(in_force.index);
    node.snapshots.insert(node.snapshots.begin(), meta);
    if (node.snapshots.size() < 2) return;
    node.snapshots.resize(2);
    const uint64_t compacted = std::min(node.snapshots.back().index(), core.compactable_index());
    core.compact(compacted);
    if (compacted <= node.log_start) return;
    const uint64_t dropped = compacted - node.log_start;
    SANDSTORE_CHECK(dropped <= node.log.size(), name, " compacts ", compacted, " of a log that is not durable yet");
    node.start_term = node.log[dropped - 1].term;
    node.log.erase(node.log.begin(), node.log.begin() + static_cast<ptrdiff_t>(dropped));
    node.log_start += dropped;
}

void CoreCluster::lose_tail(const std::string& name, uint64_t last_kept) {
    Node& node = nodes_[name];
    SANDSTORE_CHECK(node.core == nullptr && last_kept >= node.log_start, name, " keeps ", last_kept);
    node.log.resize(std::min<uint64_t>(node.log.size(), last_kept - node.log_start));
}

void CoreCluster::lose_snapshot(const std::string& name) {
    Node& node = nodes_[name];
    if (node.snapshots.size() == 2) node.snapshots.erase(node.snapshots.begin());
}

RaftCore::RequestOutcome CoreCluster::change(const std::string& name, const pb::ChangeMembership& request) {
    Node& node = nodes_[name];
    if (node.core == nullptr) return RaftCore::RequestOutcome::kNotLeader;
    const RaftCore::RequestOutcome outcome = node.core->change_membership(input(), request, &refusal_);
    carry_out(name);
    return outcome;
}

RaftCore::RequestOutcome CoreCluster::change(const std::string& name, pb::ChangeMembership::Change::Kind kind,
                                             const std::string& who) {
    pb::ChangeMembership request;
    request.add_changes()->set_kind(kind);
    request.mutable_changes(0)->set_node_id(who);
    return change(name, request);
}

bool CoreCluster::transfer(const std::string& name, const std::string& target) {
    Node& node = nodes_[name];
    if (node.core == nullptr) return false;
    std::string problem;
    const auto outcome = node.core->transfer_leadership(input(), target, &problem);
    carry_out(name);
    return outcome == RaftCore::RequestOutcome::kAccepted;
}

void CoreCluster::fill_disk(const std::string& name, bool full, bool exhausted) {
    Node& node = nodes_[name];
    if (node.core == nullptr) return;
    node.core->on_disk_space(input(), full, exhausted);
    carry_out(name);
}

std::string CoreCluster::leader() const {
    std::string leader;
    uint64_t term = 0;
    for (const auto& [name, node] : nodes_) {
        if (node.core != nullptr && node.core->is_leader() && node.core->term() > term) {
            leader = name;
            term = node.core->term();
        }
    }
    return leader;
}

uint64_t CoreCluster::messages_sent(pb::Envelope::BodyCase body) const {
    auto found = sent_.find(body);
    return found == sent_.end() ? 0 : found->second;
}

void CoreCluster::run_for(uint64_t microseconds) {
    run_until([] { return false; }, microseconds);
}

bool CoreCluster::run_until(const std::function<bool()>& done, uint64_t limit_us) {
    const uint64_t until = now_us_ + limit_us;
    while (!done()) {
        if (events_.empty() || events_.begin()->first > until) {
            now_us_ = until;
            return done();
        }
        auto next = events_.begin();
        now_us_ = std::max(now_us_, next->first);
        std::function<void()> run = std::move(next->second);
        events_.erase(next);
        run();
    }
    return true;
}

void CoreCluster::carry_out(const std::string& name) {
    Node& node = nodes_[name];
    RaftEffects effects = node.core->take_effects();
    if (!effects.fatal.empty()) {
        stopped_[name] = effects.fatal;
        return crash(name);
    }
    if (effects.write) {
        node.unsynced.push_back(
            {(*effects.write)->log_write().write_id(), (*effects.write)->log_write(), effects.write->payload});
        start_sync(name);
    }
    for (RaftEffects::Outgoing& outgoing : effects.messages) {
        if (outgoing.after_write <= node.persisted_write) {
            transmit(name, outgoing.to, outgoing.message);
        } else {
            node.held.push_back(std::move(outgoing));
        }
    }
    for (const RaftEffects::ReadForPeer& wanted : effects.reads_for_peers) {
        Payload records;
        uint32_t count = 0;
        for (uint64_t i = wanted.first_index; i <= wanted.last_index && i <= node.log_start + node.log.size(); i++) {
            if (i <= node.log_start) break;
            const Payload& bytes = node.log[i - 1 - node.log_start].bytes;
            if (count > 0 && records.size() + bytes.size() > wanted.bytes_max) break;
            records.append(bytes);
            count++;
        }
        const uint64_t generation = node.generation;
        at(random_.below(1'000) + 1, [this, name, generation, wanted, records, count] {
            Node& now = nodes_[name];
            if (now.generation != generation || now.core == nullptr) return;
            now.core->on_records(input(), wanted.peer, wanted.first_index, count, records);
            carry_out(name);
        });
    }
    for (const std::string& peer : effects.snapshots_for_peers) send_snapshot(name, peer, node.generation);
    for (const RaftEffects::ReadReady& ready : effects.reads_ready) {
        SANDSTORE_CHECK(ready.index >= committed_before_read_[ready.token], name, " reads at ", ready.index,
                        " although ", committed_before_read_[ready.token], " was committed before");
        reads_ready_[ready.token] = ready.index;
    }
    check(name);
    arm_tick(name);
}

// In one piece; again and again while the peer waits for one.
void CoreCluster::send_snapshot(const std::string& name, const std::string& peer, uint64_t generation) {
    Node& node = nodes_[name];
    if (node.generation != generation || node.core == nullptr || !node.core->is_leader()) return;
    const auto progress = node.core->peers().find(peer);
    if (progress == node.core->peers().end() || progress->second.state() != Progress::State::kSnapshot) return;
    pb::InstallSnapshot install;
    install.set_term(node.core->term());
    install.set_sequence(node.core->next_sequence());
    *install.mutable_meta() = node.snapshots.front();
    Message message;
    *message.envelope().mutable_install_snapshot() = std::move(install);
    transmit(name, peer, message);
    at(150'000, [this, name, peer, generation] { send_snapshot(name, peer, generation); });
}

void CoreCluster::receive_snapshot(const std::string& name, const std::string& from, const Message& message) {
    Node& node = nodes_[name];
    const pb::InstallSnapshot& install = message->install_snapshot();
    if (!node.core->on_install_snapshot(input(), from, install)) return;
    const bool newer = node.snapshots.empty() || node.snapshots.front().index() < install.meta().index();
    if (newer) node.snapshots.insert(node.snapshots.begin(), install.meta());
    if (node.snapshots.size() > 2) node.snapshots.resize(2);
    node.core->install_snapshot(input(), install.meta());
    pb::InstallSnapshotReply reply;
    reply.set_index(install.meta().index());
    reply.set_snapshot_term(install.meta().term());
    reply.set_installed(true);
    reply.set_sequence(install.sequence());
    node.core->reply_to_install(input(), from, install.term(), std::move(reply));
}

void CoreCluster::transmit(const std::string& from, const std::string& to, const Message& message) {
    sent_[message->body_case()]++;
    const int copies = 1 + (random_.below(100) < faults_.duplicate_percent ? 1 : 0);
    for (int copy = 0; copy < copies; copy++) {
        if (random_.below(100) < faults_.loss_percent) continue;
        auto shared = std::make_shared<Message>(message.clone());
        uint64_t delay_us = random_.below(faults_.delay_max_us) + 1;
        if (!faults_.reorder) {
            uint64_t& free_us = link_free_us_[{from, to}];
            free_us = std::max(free_us, now_us_ + delay_us);
            delay_us = free_us - now_us_;
        }
        at(delay_us, [this, from, to, shared] {
            Node& node = nodes_[to];
            if (node.core == nullptr || blocked_.contains({from, to})) return;
            if (filter && !filter(from, to, *shared)) return;
            if ((*shared)->has_install_snapshot()) {
                receive_snapshot(to, from, *shared);
            } else if ((*shared)->has_install_snapshot_reply()) {
                node.core->on_install_reply(input(), from, (*shared)->install_snapshot_reply());
            } else {
                node.core->on_message(input(), from, *shared);
            }
            carry_out(to);
        });
    }
}

std::string CoreCluster::describe() const {
    std::string text;
    for (const auto& [name, node] : nodes_) {
        if (node.core == nullptr) {
            text += name + " down\n";
            continue;
        }
        const RaftCore& core = *node.core;
        text += name + " role=" + std::to_string(core.role()) + " term=" + std::to_string(core.term()) +
                " last=" + std::to_string(core.last_index()) + " persisted=" + std::to_string(core.persisted_index()) +
                " commit=" + std::to_string(core.commit_index());
        for (const auto& [peer, progress] : core.peers()) {
            text += " [" + peer + " match=" + std::to_string(progress.match()) +
                    " next=" + std::to_string(progress.next()) +
                    (progress.state() == Progress::State::kProbe       ? " probe"
                     : progress.state() == Progress::State::kReplicate ? " replicate"
                                                                       : " snapshot") +
                    (progress.reading() ? " reading" : "") + " in_flight=" + std::to_string(progress.in_flight()) + "]";
        }
        text += "\n";
    }
    return text;
}

void CoreCluster::start_sync(const std::string& name) {
    Node& node = nodes_[name];
    if (node.sync_running || node.unsynced.empty() || node.disk_hung) return;
    node.sync_running = true;
    const size_t count = node.unsynced.size();
    const uint64_t generation = node.generation;
    at(random_.below(faults_.sync_max_us) + 1, [this, name, count, generation] {
        if (nodes_[name].generation == generation) finish_sync(name, count);
    });
}

void CoreCluster::finish_sync(const std::string& name, size_t count) {
    Node& node = nodes_[name];
    uint64_t write_id = 0;
    for (size_t i = 0; i < count; i++) {
        const DiskWrite& write = node.unsynced[i];
        write_id = write.write_id;
        if (write.write.has_hard_state()) {
            node.term = write.write.hard_state().term();
            node.voted_for = write.write.hard_state().voted_for();
        }
        if (write.write.has_restart()) {
            node.log.clear();
            node.log_start = write.write.restart().index();
            node.start_term = write.write.restart().term();
        }
        if (write.write.record_count() == 0) continue;
        SANDSTORE_CHECK(write.write.first_index() > node.log_start, name, " writes ", write.write.first_index(),
                        " into a log that begins after ", node.log_start, "\n", describe());
        node.log.resize(write.write.first_index() - 1 - node.log_start);
        RecordReader reader(write.records);
        Record record;
        while (reader.next(&record)) node.log.push_back(record);
    }
    node.unsynced.erase(node.unsynced.begin(), node.unsynced.begin() + static_cast<ptrdiff_t>(count));
    node.sync_running = false;
    node.persisted_write = write_id;
    std::vector<RaftEffects::Outgoing> held = std::move(node.held);
    node.held.clear();
    for (RaftEffects::Outgoing& outgoing : held) {
        if (outgoing.after_write <= write_id) {
            transmit(name, outgoing.to, outgoing.message);
        } else {
            node.held.push_back(std::move(outgoing));
        }
    }
    node.core->on_persisted(input(), write_id);
    carry_out(name);
    start_sync(name);
}

void CoreCluster::arm_tick(const std::string& name) {
    const uint64_t due_us = nodes_[name].core->next_deadline_us();
    const uint64_t generation = nodes_[name].generation;
    at(due_us > now_us_ ? due_us - now_us_ : 0, [this, name, generation, due_us] {
        Node& node = nodes_[name];
        if (node.generation != generation || node.core->next_deadline_us() != due_us) return;
        node.core->on_tick(input());
        carry_out(name);
    });
}

// Election safety, state-machine safety, commit never falls, and what is committed is what the leader's log holds.
void CoreCluster::check(const std::string& name) {
    RaftCore& core = *nodes_[name].core;
    if (core.is_leader()) {
        const auto [known, is_new] = leaders_.emplace(core.term(), name);
        SANDSTORE_CHECK(known->second == name, "two leaders in term ", core.term(), ": ", known->second, " and ", name);
    }
    SANDSTORE_CHECK(core.commit_index() >= commit_seen_[name], "commit fell on ", name);
    for (uint64_t index = commit_seen_[name] + 1; index <= core.commit_index(); index++) {
        if (index + 1 < core.first_index()) continue;  // It came with a snapshot.
        const uint64_t term = core.terms().term_at(index).value();
        if (index <= committed_terms_.size()) {
            SANDSTORE_CHECK(committed_terms_[index - 1] == term, name, " commits index ", index, " of term ", term,
                            ", elsewhere of term ", committed_terms_[index - 1]);
        } else {
            SANDSTORE_CHECK(index == committed_terms_.size() + 1, name, " commits ", index,
                            " before anybody committed ", committed_terms_.size() + 1);
            committed_terms_.push_back(term);
            committed_.emplace_back();
        }
        if (!core.cache().contains(index)) continue;
        RecordReader reader(core.cache().range(index, index, 1).records);
        Record record;
        SANDSTORE_CHECK(reader.next(&record), "record ", index);
        const std::string data = record.data.to_string();
        if (committed_[index - 1].empty()) committed_[index - 1] = data;
        SANDSTORE_CHECK(committed_[index - 1] == data, name, " has other bytes at ", index, " of term ", term, ": \"",
                        data, "\" instead of \"", committed_[index - 1], "\"\n", describe());
    }
    commit_seen_[name] = core.commit_index();
}

}  // namespace sandstore
