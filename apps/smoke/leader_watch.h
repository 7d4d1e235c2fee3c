// Waits until the cluster has a leader: by the line `Became Leader` in the nodes' log files where there are any, else
// by asking the nodes. A line may be of an earlier life of the cluster, so it counts only when the cluster answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/client.h"

namespace sandstore {

// Follows the *.log files of a directory.
class LogFollower {
 public:
    static constexpr uint64_t kBytesPerLookMax = 16ull << 20;

    explicit LogFollower(std::string directory) : directory_(std::move(directory)) {}
    // Names of the nodes whose log has a new line that contains `text`, since the last look; the first look reads all.
    std::vector<std::string> look(const std::string& text);
    bool found_logs() const { return !files_.empty(); }

 private:
    struct File {
        uint64_t offset = 0;
        std::string partial_line;
    };
    bool read_new(const std::string& path, File* file, const std::string& text);

    const std::string directory_;
    std::map<std::string, File> files_;  // By node.
};

struct LeaderFound {
    bool found = false;
    std::string how;  // "node-2, by its log"; when not found, what was seen last.
};

LeaderFound await_leader(Client& client, const std::string& log_directory, uint64_t timeout_us);

}  // namespace sandstore
