#include "actors/raft/configuration.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "actors/raft/quorum.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

Configuration::Nodes sorted(const google::protobuf::RepeatedPtrField<std::string>& names) {
    Configuration::Nodes nodes(names.begin(), names.end());
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

bool contains(const Configuration::Nodes& nodes, std::string_view node) {
    return std::binary_search(nodes.begin(), nodes.end(), node, std::less<>());
}

bool has_empty_or_double(const Configuration::Nodes& nodes) {
    return (!nodes.empty() && nodes.front().empty()) || std::adjacent_find(nodes.begin(), nodes.end()) != nodes.end();
}

bool is_majority(const Configuration::Nodes& nodes, const std::function<bool(const std::string&)>& yes) {
    const auto agreeing = std::count_if(nodes.begin(), nodes.end(), yes);
    if (planted("half-is-a-majority") && agreeing * 2 >= static_cast<std::ptrdiff_t>(nodes.size())) return true;
    return static_cast<size_t>(agreeing) >= majority_of(nodes.size());
}

uint64_t reached(const Configuration::Nodes& nodes, const std::function<uint64_t(const std::string&)>& value_of) {
    std::vector<uint64_t> values;
    values.reserve(nodes.size());
    for (const std::string& node : nodes) values.push_back(value_of(node));
    return reached_by_majority(std::move(values));
}

}  // namespace

Configuration::Configuration(const pb::RaftConfiguration& message)
    : message_(message),
      voters_(sorted(message.voters())),
      learners_(sorted(message.learners())),
      old_voters_(sorted(message.old_voters())),
      leaving_(sorted(message.leaving())) {}

bool Configuration::parse(std::string_view bytes, Configuration* configuration) {
    pb::RaftConfiguration message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
    Configuration parsed(message);
    if (parsed.empty() || has_empty_or_double(parsed.voters_) || has_empty_or_double(parsed.learners_) ||
        has_empty_or_double(parsed.old_voters_) || has_empty_or_double(parsed.leaving_)) {
        return false;
    }
    *configuration = std::move(parsed);
    return true;
}

bool Configuration::is_voter(std::string_view node) const {
    return contains(voters_, node) || contains(old_voters_, node);
}

bool Configuration::is_member(std::string_view node) const {
    return is_voter(node) || contains(learners_, node);
}

Configuration::Nodes Configuration::members() const {
    std::set<std::string> all(voters_.begin(), voters_.end());
    all.insert(old_voters_.begin(), old_voters_.end());
    all.insert(learners_.begin(), learners_.end());
    return Nodes(all.begin(), all.end());
}

uint64_t Configuration::storage_of(std::string_view node) const {
    for (const pb::RaftStorage& storage : message_.storages()) {
        if (storage.id() == node) return storage.storage();
    }
    return 0;
}

uint64_t Configuration::start_of(std::string_view node) const {
    for (const pb::RaftStorage& storage : message_.storages()) {
        if (storage.id() == node) return storage.start();
    }
    return 0;
}

bool Configuration::is_rejoining(std::string_view node) const {
    const auto& nodes = message_.rejoining();
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

bool Configuration::is_quorum(const std::function<bool(const std::string&)>& yes) const {
    if (empty()) return false;
    if (!is_majority(voters_, yes)) return false;
    return !is_joint() || planted("joint-decided-by-new-voters") || is_majority(old_voters_, yes);
}

uint64_t Configuration::reached_by_quorum(const std::function<uint64_t(const std::string&)>& value_of) const {
    if (empty()) return 0;
    const uint64_t by_voters = reached(voters_, value_of);
    if (!is_joint() || planted("joint-decided-by-new-voters")) return by_voters;
    return std::min(by_voters, reached(old_voters_, value_of));
}

pb::RaftConfiguration Configuration::without_old_voters() const {
    pb::RaftConfiguration final = message_;
    final.clear_old_voters();
    // Addresses of those who left are of no more use.
    final.clear_addresses();
    for (const pb::RaftMember& member : message_.addresses()) {
        if (contains(voters_, member.id()) || contains(learners_, member.id())) *final.add_addresses() = member;
    }
    final.clear_leaving();
    for (const std::string& node : leaving_) {
        if (contains(voters_, node) || contains(learners_, node)) final.add_leaving(node);
    }
    final.clear_storages();
    for (const pb::RaftStorage& storage : message_.storages()) {
        if (contains(voters_, storage.id())) *final.add_storages() = storage;
    }
    return final;
}

bool Configuration::operator==(const Configuration& other) const {
    return voters_ == other.voters_ && learners_ == other.learners_ && old_voters_ == other.old_voters_ &&
           leaving_ == other.leaving_;
}

// --- Changes

namespace {

using Change = pb::ChangeMembership::Change;
using NodeSet = std::set<std::string>;

struct NodeSets {
    NodeSet voters, learners, leaving, rejoining;
};

// One change on the sets. Empty when it is possible, else why it is not.
std::string apply_change(const Change& change, NodeSets* nodes) {
    const std::string& node = change.node_id();
    if (node.empty()) return "a change names no node";
    const bool votes = nodes->voters.contains(node);
    const bool learns = nodes->learners.contains(node);
    if (change.kind() != Change::LEAVE && change.kind() != Change::STAY) nodes->rejoining.erase(node);
    switch (change.kind()) {
        case Change::ADD_LEARNER:
            if (votes) return str_cat(node, " is a voter already");
            if (learns) return str_cat(node, " is a learner already");
            nodes->learners.insert(node);
            return "";
        case Change::PROMOTE:
            if (votes) return str_cat(node, " is a voter already");
            if (!learns) return str_cat(node, " is no learner: add it first");
            nodes->learners.erase(node);
            nodes->voters.insert(node);
            return "";
        case Change::DEMOTE:
            if (!votes) return str_cat(node, " is no voter");
            nodes->voters.erase(node);
            nodes->learners.insert(node);
            return "";
        case Change::REJOIN:
            if (!votes) return str_cat(node, " is no voter");
            nodes->voters.erase(node);
            nodes->learners.insert(node);
            nodes->rejoining.insert(node);
            return "";
        case Change::REMOVE:
            if (!votes && !learns) return str_cat(node, " is no member");
            nodes->voters.erase(node);
            nodes->learners.erase(node);
            nodes->leaving.erase(node);
            return "";
        case Change::LEAVE:
            if (!votes && !learns) return str_cat(node, " is no member");
            if (!nodes->leaving.insert(node).second) return str_cat(node, " is leaving already");
            return "";
        case Change::STAY:
            if (nodes->leaving.erase(node) == 0) return str_cat(node, " is not leaving");
            return "";
        default:
            return "an unknown kind of change";
    }
}

void fill(const NodeSet& nodes, google::protobuf::RepeatedPtrField<std::string>* field) {
    for (const std::string& node : nodes) *field->Add() = node;
}

// What a change says nothing about.
void carry_over(const pb::RaftConfiguration& now, pb::RaftConfiguration* planned) {
    const Configuration next(*planned);
    for (const pb::RaftMember& member : now.addresses()) {
        if (next.is_member(member.id())) *planned->add_addresses() = member;
    }
    for (const pb::RaftStorage& storage : now.storages()) {
        if (next.is_voter(storage.id())) *planned->add_storages() = storage;
    }
    planned->set_founding(now.founding());
    planned->set_feature_level(now.feature_level());
    *planned->mutable_recovered() = now.recovered();
}

}  // namespace

bool plan_change(const Configuration& now, const pb::ChangeMembership& request, pb::RaftConfiguration* planned,
                 std::string* problem) {
    const auto set_of = [](const auto& field) { return NodeSet(field.begin(), field.end()); };
    NodeSets nodes{set_of(now.voters()), set_of(now.learners()), set_of(now.message().leaving()),
                   set_of(now.message().rejoining())};
    const NodeSet& voters = nodes.voters;
    *problem = request.changes().empty() ? "no change is named" : "";
    for (const Change& change : request.changes()) {
        if (problem->empty()) *problem = apply_change(change, &nodes);
    }
    if (problem->empty() && voters.empty()) *problem = "the last voter cannot go";
    if (!problem->empty()) return false;

    planned->Clear();
    fill(nodes.voters, planned->mutable_voters());
    fill(nodes.learners, planned->mutable_learners());
    fill(nodes.leaving, planned->mutable_leaving());
    fill(nodes.rejoining, planned->mutable_rejoining());
    NodeSet changed;
    std::set_symmetric_difference(voters.begin(), voters.end(), now.voters().begin(), now.voters().end(),
                                  std::inserter(changed, changed.begin()));
    if (changed.size() > 1) fill(NodeSet(now.voters().begin(), now.voters().end()), planned->mutable_old_voters());
    carry_over(now.message(), planned);
    const Configuration next(*planned);
    for (const Change& change : request.changes()) {
        if (change.kind() != Change::ADD_LEARNER || change.address().empty() || !next.is_member(change.node_id()))
            continue;
        pb::RaftMember* added = planned->add_addresses();
        added->set_id(change.node_id());
        added->set_address(change.address());
    }
    return true;
}

}  // namespace sandstore
