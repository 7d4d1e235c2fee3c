#include "apps/common/remove_tree.h"

#include <memory>

#include "apps/common/remote_path.h"
#include "client/calls.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

constexpr size_t kRemovalsInFlight = 64;
constexpr size_t kFailuresMax = 100;

class Removal {
 public:
    explicit Removal(Client& client) : client_(client) {}

    // False when something is left.
    bool directory(const std::string& path) {
        const Result<std::vector<pb::DirectoryEntry>> entries = client_.list(path);
        if (!entries.ok()) return settled(path, entries.status());
        const auto below = std::make_shared<Below>();
        bool complete = true;
        for (const pb::DirectoryEntry& entry : *entries) {
            const std::string name = join_path(path, entry.name());
            if (entry.attributes().type() == pb::FILE_TYPE_DIRECTORY) {
                complete &= directory(name);
            } else {
                begin_file(name, below);
            }
        }
        wait_until(below, 0);
        for (const RemovalFailure& failure : below->failures) complete &= settled(failure.path, failure.status);
        return complete && settled(path, client_.remove_directory(path));
    }

    std::vector<RemovalFailure> take_failures() { return std::move(failures_); }

 private:
    struct Below {
        size_t under_way = 0;
        std::vector<RemovalFailure> failures;
    };

    void begin_file(const std::string& path, const std::shared_ptr<Below>& below) {
        wait_until(below, kRemovalsInFlight - 1);
        pb::Mutation mutation;
        mutation.mutable_remove_file()->mutable_at()->set_path(path);
        ++below->under_way;
        client_.submit(message_of(std::move(mutation)), [below, path](const Message& reply) {
            --below->under_way;
            const ClientStatus status(status_of_reply(reply));
            if (!status.ok() && below->failures.size() < kFailuresMax) below->failures.push_back({path, status});
        });
    }

    void wait_until(const std::shared_ptr<Below>& below, size_t under_way_max) {
        client_.run_until([&] { return below->under_way <= under_way_max; }, client_.options().timeout_us + 1'000'000);
    }

    bool settled(const std::string& path, const ClientStatus& status) {
        if (status.ok() || status.code == pb::STATUS_ENOENT) return true;
        if (failures_.size() < kFailuresMax) failures_.push_back({path, status});
        return false;
    }

    Client& client_;
    std::vector<RemovalFailure> failures_;
};

}  // namespace

std::vector<RemovalFailure> remove_tree(Client& client, const std::string& path) {
    Removal removal(client);
    removal.directory(path);
    return removal.take_failures();
}

}  // namespace sandstore
