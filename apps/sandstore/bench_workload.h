// What the load generator does: a workload gives each of its clients one operation after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"

namespace sandstore {

// One operation as it goes on: the message to send next, and what it is counted as.
struct BenchOperation {
    size_t kind = 0;     // Index into kinds().
    uint64_t bytes = 0;  // Of content, moved when it succeeds.
    Message request;
};

class BenchWorkload {
 public:
    virtual ~BenchWorkload() = default;
    virtual std::string name() const = 0;
    // The names of the operations, each with a row of its own when there are several.
    virtual std::vector<std::string> kinds() const = 0;
    // Makes in `directory`, which is new and empty, what the operations need.
    virtual ClientStatus prepare(Client& client, const std::string& directory, size_t clients) = 0;
    virtual BenchOperation next(size_t client) = 0;
    // After an answer with status OK: the next message of the same operation, if it has more than one.
    virtual std::optional<Message> go_on(size_t client, const Message& answer) {
        (void)client, (void)answer;
        return std::nullopt;
    }
};

// `size` is the bytes of a replicated record.
std::unique_ptr<BenchWorkload> make_raft_workload(uint64_t size);
std::unique_ptr<BenchWorkload> make_meta_workload();
std::unique_ptr<BenchWorkload> make_sequential_write_workload();
std::unique_ptr<BenchWorkload> make_sequential_read_workload();
std::unique_ptr<BenchWorkload> make_random_read_workload();
std::unique_ptr<BenchWorkload> make_small_file_workload();

inline constexpr uint64_t kRaftSizeMin = 16;
inline constexpr uint64_t kRaftSizeMax = 1u << 20;

}  // namespace sandstore
