#include "tests/scenarios/runner/quantities.h"

#include <algorithm>

#include "actors/raft/raft_node.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) str_append(&text, text.empty() ? "" : " ", name);
    return text;
}

std::string role_of(const RaftCore& core) {
    switch (core.role()) {
        case pb::RoleChanged::LEADER:
            return "leader";
        case pb::RoleChanged::CANDIDATE:
            return "candidate";
        case pb::RoleChanged::PRE_CANDIDATE:
            return "pre-candidate";
        default:
            return "follower";
    }
}

uint64_t match_of(const RaftCore& core, const std::string& peer) {
    const auto found = core.peers().find(peer);
    return found == core.peers().end() ? 0 : found->second.match();
}

uint64_t owed_by(const RaftCore& core, const std::string& peer) {
    const auto found = core.peers().find(peer);
    return found == core.peers().end() ? 0 : found->second.owed_index();
}

using Reading = std::string (*)(const RaftNode&);
const std::map<std::string, Reading, std::less<>>& readings() {
    static const std::map<std::string, Reading, std::less<>> kReadings = {
        {"role", [](const RaftNode& node) { return role_of(*node.core()); }},
        {"term", [](const RaftNode& node) { return std::to_string(node.core()->term()); }},
        {"vote", [](const RaftNode& node) { return node.core()->voted_for(); }},
        {"follows", [](const RaftNode& node) { return node.core()->leader_id(); }},
        {"first", [](const RaftNode& node) { return std::to_string(node.core()->first_index()); }},
        {"last", [](const RaftNode& node) { return std::to_string(node.core()->last_index()); }},
        {"persisted", [](const RaftNode& node) { return std::to_string(node.core()->persisted_index()); }},
        {"committed", [](const RaftNode& node) { return std::to_string(node.core()->commit_index()); }},
        {"applied", [](const RaftNode& node) { return std::to_string(node.applied_index()); }},
        {"snapshot-at", [](const RaftNode& node) { return std::to_string(node.snapshot_index()); }},
        {"voters", [](const RaftNode& node) { return joined(node.core()->configuration().voters()); }},
        {"old-voters", [](const RaftNode& node) { return joined(node.core()->configuration().old_voters()); }},
        {"learners", [](const RaftNode& node) { return joined(node.core()->configuration().learners()); }},
        {"removed", [](const RaftNode& node) { return std::string(node.core()->is_removed() ? "yes" : "no"); }},
        {"transferring-to", [](const RaftNode& node) { return node.core()->transferring_to(); }},
        {"owes", [](const RaftNode& node) { return std::to_string(node.core()->owed_index()); }},
        {"disk-full", [](const RaftNode& node) { return std::string(node.core()->is_disk_full() ? "yes" : "no"); }},
    };
    return kReadings;
}

std::optional<uint64_t> as_number(const std::string& text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    return std::stoull(text);
}

bool compare(const std::string& left, const std::string& operation, const std::string& right) {
    if (operation == "~") return left.find(right) != std::string::npos;
    if (operation == "==") return left == right;
    if (operation == "!=") return left != right;
    const std::optional<uint64_t> a = as_number(left);
    const std::optional<uint64_t> b = as_number(right);
    if (!a || !b) return false;
    if (operation == "<") return *a < *b;
    if (operation == "<=") return *a <= *b;
    if (operation == ">") return *a > *b;
    return *a >= *b;
}

}  // namespace

std::string Quantities::leader() const {
    const std::string id = cluster_.leader();
    return id.empty() ? "none" : id;
}

std::string Quantities::stopped(const std::string& node) const {
    const auto found = cluster_.stops().find(node);
    return found == cluster_.stops().end() ? "no" : found->second;
}

std::vector<Quantities::Quantity> Quantities::parse(Arguments& arguments) {
    const std::string name = arguments.text("what to look at");
    if (name == "leader") return {[this] { return leader(); }};
    if (name == "elections") return {[this] { return std::to_string(cluster_.invariants().elections()); }};
    if (name == "held") return {[this] { return std::to_string(rules_.held()); }};
    if (name == "answer" || name == "text") {
        const std::string request = arguments.text("the name of a request");
        const auto found = answers_.find(request);
        if (found == answers_.end()) throw ScriptError(str_cat("no request was begun as ", request));
        return {[place = found->second, name]() -> std::string {
            if (!*place) return "none";
            return name == "text" ? (*place)->text : (*place)->code;
        }};
    }
    if (name == "sent") {
        const std::string type = arguments.text("a message");
        if (!MessageRules::is_type(type)) throw ScriptError(str_cat("there is no message ", type));
        const std::string from = arguments.accept("*") ? "*" : arguments.node();
        arguments.demand("->");
        const std::string to = arguments.accept("*") ? "*" : arguments.node();
        return {[=, this] { return std::to_string(rules_.sent(type, from, to)); }};
    }
    return of_nodes(name, arguments);
}

std::vector<Quantities::Quantity> Quantities::of_nodes(const std::string& name, Arguments& arguments) {
    static const std::set<std::string> kOthers = {"stopped", "running", "entry-term", "match", "owed"};
    if (!kOthers.contains(name) && !readings().contains(name)) {
        throw ScriptError(str_cat("nothing is known as '", name, "'"));
    }
    uint64_t index = 0;
    if (name == "entry-term") index = arguments.number("an index");
    if (name == "match" || name == "owed") {
        const std::string leader = arguments.node();
        return {of_node(name, leader, 0, arguments.node())};
    }
    std::vector<Quantity> quantities;
    for (const std::string& node : arguments.nodes()) quantities.push_back(of_node(name, node, index, ""));
    return quantities;
}

Quantities::Quantity Quantities::of_node(const std::string& name, const std::string& node, uint64_t index,
                                         const std::string& peer) {
    if (name == "stopped") {
        explained_stops_.insert(node);
        return [this, node] { return stopped(node); };
    }
    if (name == "running") return [this, node] { return std::string(cluster_.is_running(node) ? "yes" : "no"); };
    return [=, this]() -> std::string {
        const RaftNode* raft = cluster_.raft(node);
        if (raft == nullptr) return "down";
        if (raft->core() == nullptr) return "booting";
        if (name == "owed") return std::to_string(owed_by(*raft->core(), peer));
        if (!peer.empty()) return std::to_string(match_of(*raft->core(), peer));
        if (index == 0) return readings().find(name)->second(*raft);
        const std::optional<uint64_t> term = raft->core()->terms().term_at(index);
        return term && index <= raft->core()->last_index() ? std::to_string(*term) : "none";
    };
}

Quantities::Condition Quantities::parse_condition(Arguments& arguments) {
    if (arguments.accept("same-state")) {
        return {[this](std::string* seen) {
            *seen = cluster_.compare_states();
            return seen->empty();
        }};
    }
    const std::vector<Quantity> quantities = parse(arguments);
    const std::string operation = arguments.text("a comparison");
    static const std::set<std::string> kOperations = {"==", "!=", "<", "<=", ">", ">=", "~"};
    if (!kOperations.contains(operation)) throw ScriptError(str_cat("'", operation, "' is no comparison"));
    const std::string right = arguments.text("a value");
    return {[=](std::string* seen) {
        for (const Quantity& quantity : quantities) {
            *seen = quantity();
            if (!compare(*seen, operation, right)) return false;
        }
        return true;
    }};
}

}  // namespace sandstore
