// Writes a tree of directories and files into a cluster, many at a time. Entries come as a backup gives them: each
// directory before what is in it. A file's times are set last, so a file that has them is complete.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/client.h"
#include "messages/backup.pb.h"

namespace sandstore {

class TreeWriter {
 public:
    static constexpr size_t kOperationsMax = 256;
    static constexpr uint64_t kBytesMax = 64ull << 20;

    // The root of what is written is the directory `inode` of the cluster.
    TreeWriter(Client& client, uint64_t inode);

    // All go on at once when an operation has failed; failure() tells.
    void add_directory(const pb::BackupEntry& entry);
    void begin_file(const pb::BackupEntry& entry);  // One at a time, then its bytes, then
    void write(uint64_t offset, Payload bytes);
    void end_file();
    // Waits for everything, then gives the directories their attributes.
    ClientStatus finish();
    // Waits until nothing is under way any more, whatever has failed.
    void settle();

    const ClientStatus& failure() const { return shared_->failure; }

 private:
    struct Directory {
        uint64_t inode = 0;  // In the cluster; 0: not there yet.
        pb::BackupEntry entry;
        std::vector<std::function<void()>> waiting;
    };
    struct File {
        pb::BackupEntry entry;
        std::shared_ptr<Directory> directory;
        uint64_t inode = 0;
        std::vector<std::pair<uint64_t, Payload>> waiting;
        size_t writing = 0;
        uint64_t end = 0;  // Of the bytes given.
        bool ended = false;
    };
    // Answers may come after the writer is gone: what they touch is shared.
    struct Shared : std::enable_shared_from_this<Shared> {
        explicit Shared(Client& of_client) : client(of_client) {}
        Client& client;
        size_t operations = 0;
        uint64_t bytes = 0;
        ClientStatus failure;

        void send(Message request, std::function<void(const Message&)> done);
        void fail(const ClientStatus& status, const pb::BackupEntry& entry);
        void make_file(const std::shared_ptr<File>& file);
        void write(const std::shared_ptr<File>& file, uint64_t offset, Payload bytes);
        void finish_if_complete(const std::shared_ptr<File>& file);
    };

    void wait_for(Directory& directory, std::function<void()> then);
    void wait_for_room();
    bool wait_until(const std::function<bool()>& done);

    std::shared_ptr<Shared> shared_;
    std::unordered_map<uint64_t, std::shared_ptr<Directory>> directories_;  // By the entry's inode.
    uint64_t root_inode_;
    std::shared_ptr<File> file_;
};

// What makes an entry what it is: mode, owner, size and times.
pb::SetAttributes attributes_of(const pb::BackupEntry& entry);

}  // namespace sandstore
