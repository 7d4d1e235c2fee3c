// What the clients of a simulated cluster do, and what they were answered: the history that linearizability.h judges.
// Each client does one operation after the other, none before its time. The bytes of every write say which write they
// are, so that what a read returns can be taken apart; bytes that nobody wrote end the run at once.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "runtime/payload.h"
#include "tests/sim/linearizability.h"
#include "tests/sim/schedule.h"

namespace sandstore {

class SimCluster;

// `bytes` (at least kTokenBytesMin) that begin with the token and depend on it throughout.
inline constexpr uint64_t kTokenBytesMin = 16;
Payload token_bytes(uint32_t token, uint64_t bytes);
// False when the bytes are no sequence of whole tokens.
bool parse_tokens(const Payload& bytes, std::vector<uint32_t>* tokens);

inline constexpr uint64_t kReadBytesMax = 16u << 20;  // More than any file of a run has.
std::string file_path(const std::string& directory, size_t file);
// What a client is asked for the operation.
Message request_of(const FileOperation& operation, const std::string& directory, bool any_node);

class Workload {
 public:
    Workload(SimCluster& cluster, const Schedule& schedule);

    void add_clients();
    void make_directories();            // Before the faults; runs until it is done.
    void begin(const SimEvent& event);  // An operation: now, or when its client is free.
    void drop_waiting();                // Operations that have not begun.
    bool idle() const { return open_ == 0; }

    // On the healed cluster, through one client after the other: something new in each directory, then every file is
    // read. Throws InvariantBroken when an operation has no certain outcome.
    void prove_service(uint64_t limit_us);
    // Throws InvariantBroken unless all answers can be explained.
    void check_history() const;

    size_t acknowledged() const { return acknowledged_; }  // Operations with a certain outcome.
    size_t begun() const { return begun_; }
    size_t undecided() const { return undecided_; }  // Directories whose history was too much to judge.

 private:
    struct Waiting {
        size_t directory;
        FileOperation operation;
        uint64_t timeout_us;
    };
    struct Client {
        std::string id;
        std::deque<Waiting> waiting;
        bool busy = false;
    };

    Waiting plan(const SimEvent& event) const;
    void go_on(Client& client);
    void ended(size_t directory, size_t place, const Message& reply);
    Message request_for(size_t directory, const FileOperation& operation) const;
    std::string path(size_t directory, size_t file) const;
    void prove(size_t client, size_t directory, FileOperation operation, uint64_t limit_us);

    SimCluster& cluster_;
    const uint64_t seed_;
    const size_t files_;
    const uint64_t timeout_us_;
    const int64_t any_node_percent_;
    std::vector<Client> clients_;
    std::vector<std::vector<FileOperation>> history_;  // By directory.
    uint64_t clock_ = 0;                               // Counts beginnings and ends.
    size_t open_ = 0;
    size_t begun_ = 0;
    size_t acknowledged_ = 0;
    mutable size_t undecided_ = 0;
};

}  // namespace sandstore
