#include "apps/smoke/leader_watch.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "messages/envelope.pb.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr const char* kLeaderLine = "Became Leader";
constexpr uint64_t kLookIntervalUs = 100'000;
constexpr uint64_t kConfirmTimeoutUs = 2'000'000;
// Log files are the quicker way: this long they are given before the nodes are asked.
constexpr uint64_t kLogsFirstUs = 5'000'000;

}  // namespace

std::vector<std::string> LogFollower::look(const std::string& text) {
    std::vector<std::string> nodes;
    std::error_code error;
    std::filesystem::directory_iterator entries(directory_, error);
    if (error) return nodes;
    for (const auto& entry : entries) {
        if (entry.path().extension() != ".log") continue;
        const std::string node = entry.path().stem().string();
        if (read_new(entry.path().string(), &files_[node], text)) nodes.push_back(node);
    }
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

bool LogFollower::read_new(const std::string& path, File* file, const std::string& text) {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(path, error);
    if (error) return false;
    if (size < file->offset) *file = File();  // Begun anew.
    if (size - file->offset > kBytesPerLookMax) file->offset = size - kBytesPerLookMax;
    std::ifstream stream(path, std::ios::binary);
    if (!stream.seekg(static_cast<std::streamoff>(file->offset))) return false;
    std::string fresh(size - file->offset, '\0');
    stream.read(fresh.data(), static_cast<std::streamsize>(fresh.size()));
    fresh.resize(static_cast<size_t>(std::max<std::streamsize>(0, stream.gcount())));
    file->offset += fresh.size();
    const std::string unseen = file->partial_line + fresh;
    const size_t end = unseen.rfind('\n');
    file->partial_line = end == std::string::npos ? unseen : unseen.substr(end + 1);
    return end != std::string::npos && unseen.substr(0, end).find(text) != std::string::npos;
}

LeaderFound await_leader(Client& client, const std::string& log_directory, uint64_t timeout_us) {
    SystemClock clock;
    const uint64_t began_us = clock.monotonic_us();
    const uint64_t until_us = began_us + timeout_us;
    LogFollower logs(log_directory);
    LeaderFound result;
    std::string seen_in_log;
    while (clock.monotonic_us() < until_us) {
        if (!log_directory.empty()) {
            const std::vector<std::string> nodes = logs.look(kLeaderLine);
            if (!nodes.empty()) seen_in_log = nodes.back();
        }
        const bool logs_had_their_time = log_directory.empty() || clock.monotonic_us() - began_us > kLogsFirstUs;
        if (!seen_in_log.empty() || logs_had_their_time) {
            const uint64_t left_us = until_us - std::min(until_us, clock.monotonic_us());
            const Result<pb::ClusterStatus> status =
                client.cluster_status(std::max<uint64_t>(1, std::min(kConfirmTimeoutUs, left_us)));
            if (status.ok() && !status->leader_id().empty()) {
                result.found = true;
                result.how = str_cat(status->leader_id(), " leads in term ", status->term(),
                                     seen_in_log.empty() ? ", as the nodes say" : ", as the logs and the nodes say");
                return result;
            }
            result.how = status.ok() ? "the nodes answer, but know no leader" : status.text();
        }
        client.run_until([] { return false; }, kLookIntervalUs);
    }
    if (result.how.empty()) result.how = logs.found_logs() ? "no such line in the logs" : "no log files";
    return result;
}

}  // namespace sandstore
