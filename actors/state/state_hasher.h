// The running hash of the replicated state. Each object (inode, directory entry, extent, chunk, session) has a hash of
// its own, and the state's hash is their sum modulo 2^64: an object that changes is taken out and put back in, so the
// hash costs the same whatever the size of the state, and does not depend on the order of the changes.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/random.h"

namespace sandstore {

class StateHasher {
 public:
    // Objects of different kinds with the same content hash differently.
    enum class Kind : uint64_t {
        kInode = 1,
        kEntry,
        kExtent,
        kChunk,
        kSession,
        kSessionResult,
        kState,
        kDetached,
        kHold,
        kCollected,
        kLease,
        kKept
    };

    explicit StateHasher(Kind kind) : hash_(mix64(static_cast<uint64_t>(kind))) {}

    StateHasher& add(uint64_t word) {
        hash_ = mix64(hash_ ^ word);
        return *this;
    }
    StateHasher& add(std::string_view text) {
        add(text.size());
        uint64_t word = 0;
        int filled = 0;
        for (const char letter : text) {
            word |= static_cast<uint64_t>(static_cast<unsigned char>(letter)) << (8 * filled);
            if (++filled < 8) continue;
            add(word);
            word = 0;
            filled = 0;
        }
        if (filled > 0) add(word);
        return *this;
    }
    uint64_t value() const { return hash_; }

 private:
    uint64_t hash_;
};

}  // namespace sandstore
