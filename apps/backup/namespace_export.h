// What a backup needs of a running cluster: a hold on its chunks, and its whole namespace at one moment.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/fs/file_state.h"
#include "client/client.h"
#include "messages/backup.pb.h"

namespace sandstore {

// Asks for one thing and waits.
Message ask_cluster(Client& client, Message request);

// Keeps the chunks of a running cluster from disappearing, for as long as keep() is called now and then.
class HoldKeeper {
 public:
    static constexpr uint64_t kLifetimeUs = 10ull * 60 * 1'000'000;
    static constexpr uint64_t kRenewEveryUs = 60ull * 1'000'000;

    explicit HoldKeeper(Client& client) : client_(client) {}
    ~HoldKeeper();  // Released, if the cluster answers.
    HoldKeeper(const HoldKeeper&) = delete;
    HoldKeeper& operator=(const HoldKeeper&) = delete;

    ClientStatus take();
    // Prolongs it when it is time. A hold that has ended meanwhile is a failure: chunks may be gone.
    ClientStatus keep();
    void release();

 private:
    struct Shared {
        bool under_way = false;
        uint64_t renewed_at_us = 0;
        ClientStatus lost;
    };

    Client& client_;
    uint64_t hold_id_ = 0;
    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// The whole state of the cluster's namespace, verified against its hash.
struct ExportedNamespace {
    FileState state;
    uint64_t index = 0;
};
ClientStatus export_namespace(Client& client, ExportedNamespace* exported);

// A namespace as a backup tells of it: every directory before what is in it, names in byte order.
class NamespaceWalk {
 public:
    explicit NamespaceWalk(const Namespace& files);

    // False at the end. Extents name chunks by their number in chunks().
    bool next(pb::BackupEntry* entry);

    // All the chunks that files use, in id order, without checksums.
    const std::vector<pb::BackupChunk>& chunks() const { return chunks_; }
    std::vector<std::string> replicas_of(size_t chunk) const;
    uint64_t directories() const { return directories_; }
    uint64_t files() const { return file_count_; }
    uint64_t file_bytes() const { return file_bytes_; }
    uint64_t chunk_bytes() const { return chunk_bytes_; }

 private:
    struct Level {
        uint64_t directory = 0;
        std::string after;  // Names up to here are done.
    };

    void fill(uint64_t inode, uint64_t parent, const std::string& name, pb::BackupEntry* entry) const;

    const Namespace& files_;
    std::vector<pb::BackupChunk> chunks_;
    std::map<ChunkKey, uint64_t> chunk_numbers_;
    std::vector<Level> levels_;
    bool begun_ = false;
    uint64_t directories_ = 0;
    uint64_t file_count_ = 0;
    uint64_t file_bytes_ = 0;
    uint64_t chunk_bytes_ = 0;
};

// Where each node's chunks are to be had.
std::map<std::string, std::string> node_addresses(const pb::ClusterStatus& status);

}  // namespace sandstore
