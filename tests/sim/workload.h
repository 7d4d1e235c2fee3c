// What the clients of a simulated cluster do, and what they were answered: the history that linearizability.h judges.
// Each client has some operations under way at once, none before its time. The bytes of every write say which write
// they are (tokens.h); bytes that nobody wrote end the run at once, and so does an answer that makes no sense. What was
// refused with the words that nothing was changed must not have happened.
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

inline constexpr uint64_t kReadBytesMax = 16u << 20;  // More than any file of a run has.
std::string file_path(const std::string& directory, size_t file);
// The operation's directories, as paths.
struct DirectoryPaths {
    std::string from;
    std::string to;  // kRename.
    bool any_node = false;
};
// What a client is asked for the operation.
Message request_of(const FileOperation& operation, const DirectoryPaths& paths);

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
    size_t undecided() const { return undecided_; }  // Groups of directories whose history was too much to judge.

 private:
    struct Waiting {
        FileOperation operation;
        uint64_t timeout_us;
    };
    struct Client {
        std::string id;
        std::deque<Waiting> waiting;
        size_t open = 0;
    };

    Waiting plan(const SimEvent& event) const;
    void go_on();
    void start_what_may(Client& client);
    bool may_start(const FileOperation& operation) const;
    void start(Client& client, Waiting next);
    void ended(FileOperation& operation, const Message& reply);
    Message request_for(const FileOperation& operation) const;
    void prove(size_t client, FileOperation operation, uint64_t limit_us);
    std::vector<size_t> groups() const;
    size_t in_use(size_t directory) const;

    SimCluster& cluster_;
    const uint64_t seed_;
    struct Directory {
        size_t open = 0;
        size_t unknown = 0;
    };

    const size_t directories_;
    const size_t files_;
    const size_t pipeline_;
    const uint64_t timeout_us_;
    const int64_t any_node_percent_;
    std::vector<Client> clients_;
    std::vector<Directory> places_;
    std::deque<FileOperation> history_;  // In the order of their beginnings.
    uint64_t clock_ = 0;                 // Counts beginnings and ends.
    uint32_t next_proof_ = 0x7f000000;   // Token of what is written to prove service.
    size_t open_ = 0;
    size_t begun_ = 0;
    size_t acknowledged_ = 0;
    mutable size_t undecided_ = 0;
};

}  // namespace sandstore
