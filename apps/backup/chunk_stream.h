// The bytes of many chunks of a cluster, in a given order, with several under way.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/backup/namespace_export.h"
#include "client/client.h"

namespace sandstore {

class ChunkStream {
 public:
    static constexpr size_t kChunksAhead = 16;
    static constexpr uint64_t kBytesAhead = 64ull << 20;
    static constexpr int kAttemptsMax = 3;

    // `order`: numbers of the walk's chunks.
    ChunkStream(Client& client, HoldKeeper& hold, const NamespaceWalk& walk, std::vector<size_t> order)
        : client_(client), hold_(hold), walk_(walk), order_(std::move(order)) {}

    // The next one. Unless the status is OK, it could not be had, and the following ones can still be asked for;
    // ESTALE: the hold was lost, EINTR as a message: interrupted.
    Result<Payload> next();
    bool at_end() const { return taken_ >= order_.size(); }
    size_t next_number() const { return order_[taken_]; }
    bool broken() const { return broken_; }  // Nothing more can be had: interrupted, or the hold was lost.

 private:
    struct Fetch {
        size_t number = 0;
        int attempts = 0;
        std::shared_ptr<std::optional<Message>> reply;
    };

    ClientStatus learn_addresses();
    void ask(Fetch* fetch);
    void ask_more();

    Client& client_;
    HoldKeeper& hold_;
    const NamespaceWalk& walk_;
    std::vector<size_t> order_;
    std::map<std::string, std::string> addresses_;
    std::deque<Fetch> under_way_;
    uint64_t bytes_under_way_ = 0;
    size_t asked_ = 0;
    size_t taken_ = 0;
    bool broken_ = false;
};

}  // namespace sandstore
