#include "actors/fs/placement.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "runtime/text.h"

namespace sandstore {

Placement::Node* Placement::known_or_new(std::string_view node) {
    const auto found = nodes_.find(node);
    if (found != nodes_.end()) return &found->second;
    if (nodes_.size() >= kNodesKeptMax) return nullptr;
    return &nodes_[std::string(node)];
}

void Placement::set_members(const pb::ClusterView& view) {
    if (view.members().empty()) return;
    for (auto& [id, node] : nodes_) node.is_listed = false;
    for (const pb::Member& member : view.members()) {
        Node& node = nodes_[member.id()];
        node.is_listed = true;
        node.address = member.address();
        node.zone = member.zone();
    }
    decide_members();
}

void Placement::set_configuration(const pb::RaftConfiguration& configuration) {
    has_configuration_ = !configuration.voters().empty();
    for (auto& [id, node] : nodes_) node.is_configured = node.is_leaving = false;
    for (const auto* names : {&configuration.voters(), &configuration.learners(), &configuration.old_voters()}) {
        for (const std::string& id : *names) nodes_[id].is_configured = true;
    }
    for (const std::string& id : configuration.leaving()) nodes_[id].is_leaving = true;
    for (const pb::RaftMember& member : configuration.addresses()) {
        Node& node = nodes_[member.id()];
        if (!node.is_listed) node.address = member.address();
    }
    decide_members();
}

void Placement::decide_members() {
    member_count_ = 0;
    for (auto& [id, node] : nodes_) {
        node.is_member =
            has_configuration_ ? node.is_configured && !node.is_leaving && !node.address.empty() : node.is_listed;
        member_count_ += node.is_member;
    }
    // Whether a node is up is kept: it may become a member again, and the transport will not tell twice. One that left
    // is still asked for the chunks that it holds, as long as it is there.
    std::erase_if(nodes_, [](const auto& entry) {
        const Node& node = entry.second;
        return !node.is_member && !node.is_configured && !node.is_listed && !node.is_up;
    });
}

void Placement::set_up(std::string_view node, bool up) {
    Node* known = known_or_new(node);
    if (known != nullptr) known->is_up = up;
}

void Placement::set_stats(const pb::ChunkStats& stats) {
    if (member_count_ > 0 && !nodes_.contains(stats.node_id())) return;
    Node* node = known_or_new(stats.node_id());
    if (node == nullptr) return;
    node->has_stats = true;
    node->takes_writes = stats.problem().empty();
    node->chunk_bytes = stats.chunk_bytes();
    node->disk_total_bytes = stats.disk_total_bytes();
    node->disk_free_bytes = stats.disk_free_bytes();
    node->disk_reserve_bytes = stats.disk_reserve_bytes();
    node->promised_bytes = 0;
}

// A node that has not said how much it holds counts as the fullest, so that it is not flooded before it does.
uint64_t Placement::load_of(const Node& node, uint64_t greatest_load) const {
    return (node.has_stats ? node.chunk_bytes : greatest_load) + node.promised_bytes;
}

Placement::Choice Placement::choose(const Wish& wish, const Random& random, pb::ChunkPlace* place, std::string* why) {
    struct Candidate {
        const std::string* id;
        Node* node;
        uint64_t load;
        uint64_t tie_break;
    };
    uint64_t greatest_load = 0;
    size_t up = 0;
    size_t up_with_room = 0;
    std::string full;
    for (const auto& [id, node] : nodes_) {
        if (node.is_member && node.has_stats) greatest_load = std::max(greatest_load, node.chunk_bytes);
        if (!node.is_member || !node.serves()) continue;
        ++up;
        up_with_room += !node.full();
        if (node.full()) str_append(&full, full.empty() ? "" : ", ", id);
    }
    const size_t wanted = std::min<size_t>(wish.copies, member_count_);
    const size_t needed = wanted / 2 + 1;
    if (wanted == 0 || up < needed) {
        *why = str_cat("A new chunk needs ", needed, " nodes and only ", up, " of ", member_count_, " are up");
        return Choice::kTooFewUp;
    }
    if (up_with_room < needed) {
        *why = str_cat("The disks of ", full, " are full: remove files, or give them more space");
        return Choice::kNoRoom;
    }
    std::vector<Candidate> candidates;
    for (auto& [id, node] : nodes_) {
        if (node.is_member) candidates.push_back({&id, &node, load_of(node, greatest_load), random()});
    }
    std::map<std::string, size_t> zone_uses;
    const auto rank = [&](const Candidate& candidate) {
        const Node& node = *candidate.node;
        const size_t same_zone = node.zone.empty() ? 0 : zone_uses[node.zone];
        const bool unwanted = std::ranges::count(wish.avoid, *candidate.id) > 0;
        return std::tuple(!node.serves(), node.full(), unwanted, node.nearly_full(), same_zone, candidate.load,
                          candidate.tie_break);
    };
    const auto better = [&](const Candidate& a, const Candidate& b) { return rank(a) < rank(b); };
    for (size_t i = 0; i < wanted; ++i) {
        const auto best = std::min_element(candidates.begin(), candidates.end(), better);
        place->add_replicas(*best->id);
        place->add_addresses(best->node->address);
        best->node->promised_bytes += wish.chunk_bytes;
        ++zone_uses[best->node->zone];
        candidates.erase(best);
    }
    place->set_acknowledgements_needed(static_cast<uint32_t>(needed));
    return Choice::kMade;
}

std::optional<std::string> Placement::choose_another(const std::vector<std::string>& taken, uint64_t chunk_bytes,
                                                     const Random& random) {
    uint64_t greatest_load = 0;
    std::map<std::string_view, size_t> zone_uses;
    for (const auto& [id, node] : nodes_) {
        if (node.is_member && node.has_stats) greatest_load = std::max(greatest_load, node.chunk_bytes);
        if (std::ranges::count(taken, id) > 0 && !node.zone.empty()) ++zone_uses[node.zone];
    }
    const std::string* best = nullptr;
    std::tuple<size_t, uint64_t, uint64_t> best_rank;
    for (const auto& [id, node] : nodes_) {
        if (!node.is_member || !node.serves() || node.nearly_full() || std::ranges::count(taken, id) > 0) continue;
        const std::tuple rank(node.zone.empty() ? 0 : zone_uses[node.zone], load_of(node, greatest_load), random());
        if (best != nullptr && best_rank <= rank) continue;
        best = &id;
        best_rank = rank;
    }
    if (best == nullptr) return std::nullopt;
    nodes_[*best].promised_bytes += chunk_bytes;
    return *best;
}

std::string_view Placement::address_of(std::string_view node) const {
    const auto found = nodes_.find(node);
    return found == nodes_.end() ? std::string_view() : std::string_view(found->second.address);
}

uint32_t Placement::copies_of(uint32_t wanted) const {
    return member_count_ == 0 ? wanted : std::min(wanted, static_cast<uint32_t>(member_count_));
}

uint64_t Placement::disk_total_bytes() const {
    uint64_t sum = 0;
    for (const auto& [id, node] : nodes_) sum += node.is_member ? node.disk_total_bytes : 0;
    return sum;
}

uint64_t Placement::disk_free_bytes() const {
    uint64_t sum = 0;
    for (const auto& [id, node] : nodes_) sum += node.is_member ? node.disk_free_bytes : 0;
    return sum;
}

}  // namespace sandstore
