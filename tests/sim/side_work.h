// What clients do besides files: directories of their own, holds on chunks, exports of the namespace. Each client's are
// its own, one after the other, so that its certain answers can be checked one by one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "tests/sim/schedule.h"

namespace sandstore {

class SimCluster;

class SideWork {
 public:
    SideWork(SimCluster& cluster, const Schedule& schedule);

    void begin(const SimEvent& event);  // Dropped while its client is at another one.

 private:
    // kUnknown for good: what has no certain outcome may happen at any later time.
    enum class Directory : uint8_t { kAbsent, kThere, kUnknown };
    struct Client {
        bool busy = false;
        Directory directory = Directory::kAbsent;
        std::vector<uint64_t> holds;
        uint64_t export_index = 0;
        uint32_t export_checksum = 0;
        uint64_t export_pieces = 0;
    };

    void ask(const std::string& id, Message request,
             void (SideWork::*done)(const std::string& id, const Message& reply));
    void directory_made(const std::string& id, const Message& reply);
    void directory_removed(const std::string& id, const Message& reply);
    void hold_begun(const std::string& id, const Message& reply);
    void hold_ended(const std::string& id, const Message& reply);
    void piece_exported(const std::string& id, const Message& reply);
    void ask_for_piece(const std::string& id, uint64_t export_id, uint64_t piece);

    SimCluster& cluster_;
    const uint64_t timeout_us_;
    const uint64_t clients_;
    std::map<std::string, Client> by_client_;
    std::map<uint64_t, uint32_t> exports_;  // By index: the checksum of the whole.
};

}  // namespace sandstore
