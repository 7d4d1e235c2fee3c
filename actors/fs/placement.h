// Where new chunks go: who is a member, who is up, how loaded each node is. Chooses the replicas of one chunk at a
// time, spread by zone and load.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/chunk.pb.h"
#include "messages/cluster.pb.h"
#include "messages/raft.pb.h"

namespace sandstore {

class Placement {
 public:
    using Random = std::function<uint64_t()>;

    // A view without members changes nothing: discovery that fails must not make nodes disappear.
    void set_members(const pb::ClusterView& view);
    // From the log: whoever is in it and not about to leave may hold chunks, once an address of it is known. Until
    // there is one, discovery decides. Discovery's addresses go before those that the log keeps.
    void set_configuration(const pb::RaftConfiguration& configuration);
    void set_up(std::string_view node, bool up);
    // What others than members say is ignored once there are members.
    void set_stats(const pb::ChunkStats& stats);

    struct Wish {
        uint32_t copies = 0;
        uint64_t chunk_bytes = 0;        // Counts as load until the nodes report.
        std::vector<std::string> avoid;  // These nodes come last.
    };
    enum class Choice { kMade, kTooFewUp, kNoRoom };
    // Fills in replicas, addresses and acknowledgements_needed. The first replica is up. Otherwise a sentence: too few
    // nodes are up to store a chunk on a majority of its copies, or too few of them have room.
    Choice choose(const Wish& wish, const Random& random, pb::ChunkPlace* place, std::string* why);

    // Another home for a chunk that these nodes have: up, with room, and where possible in another zone. Nothing when
    // there is none. `chunk_bytes` counts as above.
    std::optional<std::string> choose_another(const std::vector<std::string>& taken, uint64_t chunk_bytes,
                                              const Random& random);

    std::string_view address_of(std::string_view node) const;  // Empty: unknown.
    uint32_t copies_of(uint32_t wanted) const;                 // No more than there are members.
    uint64_t disk_total_bytes() const;                         // Over all members that have reported.
    uint64_t disk_free_bytes() const;

 private:
    static constexpr uint64_t kNearlyFullPercent = 5;  // Of the disk free: such a node comes last.
    static constexpr size_t kNodesKeptMax = 4096;      // Heard of before the members are known.

    struct Node {
        bool is_listed = false;      // In the last view.
        bool is_configured = false;  // In the configuration.
        bool is_leaving = false;     // Likewise, but not for long.
        bool is_member = false;      // May get chunks.
        bool is_up = false;
        bool takes_writes = true;  // As it says itself.
        bool serves() const { return is_up && takes_writes; }
        bool has_stats = false;
        std::string address;
        std::string zone;
        uint64_t chunk_bytes = 0;
        uint64_t disk_total_bytes = 0;
        uint64_t disk_free_bytes = 0;
        uint64_t disk_reserve_bytes = 0;  // Of those that are free: not for chunks.
        uint64_t promised_bytes = 0;      // Placed here since it last reported.

        bool full() const { return has_stats && disk_total_bytes > 0 && disk_free_bytes <= disk_reserve_bytes; }
        bool nearly_full() const {
            return has_stats && disk_total_bytes > 0 &&
                   disk_free_bytes < disk_reserve_bytes + disk_total_bytes / 100 * kNearlyFullPercent;
        }
    };
    using Nodes = std::map<std::string, Node, std::less<>>;

    void decide_members();
    Node* known_or_new(std::string_view node);
    uint64_t load_of(const Node& node, uint64_t greatest_load) const;

    Nodes nodes_;
    size_t member_count_ = 0;
    bool has_configuration_ = false;
};

}  // namespace sandstore
