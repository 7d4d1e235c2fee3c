// How each node has to treat snapshots, seen from outside. Checked: none is taken in that holds no more than what is
// committed; a log that agrees with one is kept, one that contradicts it is not; none that was damaged when it was read
// back counts as good; a transfer that failed is not begun again at once; after one is restored, entries are applied
// from the next one on, each once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "runtime/message.h"

namespace sandstore {

namespace pb {
class SnapshotMeta;
}

class RaftCore;

class SnapshotConduct {
 public:
    using CoreOf = std::function<const RaftCore*(const std::string& id)>;
    // Of the node's directory snapshots/; empty: there is no such file.
    using FileOf = std::function<std::string(const std::string& id, const std::string& name)>;
    SnapshotConduct(CoreOf core_of, FileOf file_of) : core_of_(std::move(core_of)), file_of_(std::move(file_of)) {}

    void node_started(const std::string& id) { nodes_[id] = Node(); }
    void on_deliver(const std::string& id, const Message& message, uint64_t now_us);
    void after_step(const std::string& id);  // Both throw InvariantBroken.

 private:
    struct Node {
        std::map<uint64_t, uint64_t> awaited;  // By index: pieces that Raft asked to take in, as they were news to it.
        std::map<std::pair<uint64_t, uint64_t>, bool> was_damaged;  // By (index, term): when it was last read back.
        uint64_t verify_window = 0;
        uint64_t verifies = 0;  // In that window of time.
        uint64_t next_applied = 1;
        // What is being installed in this step; 0: nothing.
        uint64_t installing_index = 0;
        uint64_t installing_term = 0;
        uint64_t last_index = 0;
        bool agrees = false;
    };
    [[noreturn]] static void violated(const char* name, const std::string& what);
    void to_raft(const std::string& id, Node& node, const Message& message);
    void to_store(const std::string& id, Node& node, const Message& message, uint64_t now_us);
    static void check_applied(const std::string& id, Node& node, const Message& message);

    CoreOf core_of_;
    FileOf file_of_;
    std::map<std::string, Node> nodes_;
};

}  // namespace sandstore
