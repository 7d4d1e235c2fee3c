// A lease on a file (LeaseFile in messages/fs.proto) for as long as this lives: one that is read, or an upload. It has
// to be prolonged by calling keep() again and again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "client/client.h"

namespace sandstore {

class FileLease {
 public:
    explicit FileLease(Client& client) : client_(client) {}
    ~FileLease() { end(); }
    FileLease(const FileLease&) = delete;
    FileLease& operator=(const FileLease&) = delete;

    Result<pb::MutationResult> take(pb::LeaseFile request, uint64_t timeout_us);
    uint64_t id() const { return id_; }  // 0: none, or there was nothing to lease.
    uint64_t inode() const { return inode_; }
    void keep();  // Prolongs it when that is due.
    // Keeps it while the client's loop runs, until `done` gives true or a request must have ended. False: the latter.
    bool run_until(const std::function<bool()>& done);
    bool lost() const { return shared_->lost; }
    bool has_ended();  // Asks the cluster.
    void end();
    void published() { id_ = 0; }  // There is nothing left to end.

 private:
    static constexpr uint64_t kProlongEveryUs = 15'000'000;  // Of a minute.
    static constexpr uint64_t kLookUpUs = 1'000'000;

    // Answers may come when this is gone.
    struct Shared {
        bool under_way = false;
        bool lost = false;
        uint64_t prolonged_at_us = 0;
    };

    Client& client_;
    uint64_t id_ = 0;
    uint64_t inode_ = 0;
    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace sandstore
