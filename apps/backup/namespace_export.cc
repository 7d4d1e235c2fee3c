#include "apps/backup/namespace_export.h"

#include <optional>

#include "actors/fs/file_state_restorer.h"
#include "actors/fs/limits.h"
#include "client/calls.h"
#include "runtime/event_runtime.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr int kExportAttemptsMax = 10;

uint64_t now_us() {
    return SystemClock().monotonic_us();
}

// The state machine's settings stand in the header; a restorer must have the same.
pb::StartStateMachine settings_in(std::string_view first_piece) {
    StateDecoder in(first_piece);
    in.byte();
    for (int i = 0; i < 3; ++i) in.number();  // Version, index, clock.
    pb::StartStateMachine settings;
    settings.set_chunk_commit_window_us(in.number());
    settings.set_session_timeout_us(in.number());
    settings.set_sessions_max(static_cast<uint32_t>(in.number()));
    return settings;
}

ClientStatus export_once(Client& client, ExportedNamespace* exported) {
    std::unique_ptr<FileStateRestorer> restorer;
    pb::Query query;
    query.mutable_export_state();
    while (true) {
        const Message reply = ask_cluster(client, message_of(query));
        if (const ClientStatus status(status_of_reply(reply)); !status.ok()) return status;
        const pb::QueryResult& result = reply->query_result();
        const Payload piece = reply.payload.flat();
        if (piece.empty()) return ClientStatus(pb::STATUS_CORRUPTED, "a piece of the namespace is empty");
        if (restorer == nullptr) restorer = std::make_unique<FileStateRestorer>(settings_in(piece.flat_view()));
        const bool good =
            restorer->read(piece.flat_view()) && (result.more() || restorer->finish(result.export_index()));
        if (!good) return ClientStatus(pb::STATUS_CORRUPTED, str_cat("the namespace: ", restorer->problem()));
        if (!result.more()) {
            exported->state = std::move(restorer->state());
            exported->index = result.export_index();
            return {};
        }
        query.mutable_export_state()->set_export_id(result.export_id());
        query.mutable_export_state()->set_piece(query.export_state().piece() + 1);
    }
}

}  // namespace

Message ask_cluster(Client& client, Message request) {
    const auto answer = std::make_shared<std::optional<Message>>();
    client.submit(std::move(request), [answer](Message reply) { *answer = std::move(reply); });
    client.run_until([&answer] { return answer->has_value(); }, client.options().timeout_us + 1'000'000);
    if (answer->has_value()) return std::move(**answer);
    return request_failed(pb::STATUS_INTERNAL, "the client did not answer itself");
}

// --- Holds -----------------------------------------------------------------------------------------------------------

HoldKeeper::~HoldKeeper() {
    release();
}

ClientStatus HoldKeeper::take() {
    pb::Mutation mutation;
    mutation.mutable_hold_chunks()->set_lifetime_us(kLifetimeUs);
    shared_->renewed_at_us = now_us();
    const Message reply = ask_cluster(client_, message_of(std::move(mutation)));
    if (const ClientStatus status(status_of_reply(reply)); !status.ok()) return status;
    hold_id_ = reply->mutation_result().hold_id();
    if (hold_id_ == 0) return ClientStatus(pb::STATUS_INTERNAL, "the hold has no id");
    return {};
}

ClientStatus HoldKeeper::keep() {
    if (!shared_->lost.ok() || shared_->under_way) return shared_->lost;
    const uint64_t asked_us = now_us();
    if (asked_us - shared_->renewed_at_us < kRenewEveryUs) return {};
    pb::Mutation mutation;
    mutation.mutable_hold_chunks()->set_hold_id(hold_id_);
    mutation.mutable_hold_chunks()->set_lifetime_us(kLifetimeUs);
    shared_->under_way = true;
    client_.submit(message_of(std::move(mutation)), [shared = shared_, asked_us](const Message& reply) {
        shared->under_way = false;
        const ClientStatus status(status_of_reply(reply));
        if (status.ok()) shared->renewed_at_us = asked_us;
        // Anything else is tried again: there is time for that.
        if (status.code == pb::STATUS_ENOENT) {
            shared->lost = ClientStatus(pb::STATUS_ESTALE, "the hold on the chunks has ended: run the backup again");
        }
    });
    return {};
}

void HoldKeeper::release() {
    if (hold_id_ == 0) return;
    pb::Mutation mutation;
    mutation.mutable_release_hold()->set_hold_id(hold_id_);
    hold_id_ = 0;
    // It ends by itself, too.
    const auto ended = std::make_shared<bool>(false);
    constexpr uint64_t kReleaseTimeoutUs = 2'000'000;
    client_.submit(
        message_of(std::move(mutation)), [ended](const Message&) { *ended = true; }, kReleaseTimeoutUs);
    client_.run_until([&ended] { return *ended; }, kReleaseTimeoutUs);
}

// --- The namespace ---------------------------------------------------------------------------------------------------

ClientStatus export_namespace(Client& client, ExportedNamespace* exported) {
    ClientStatus status;
    for (int attempt = 0; attempt < kExportAttemptsMax; ++attempt) {
        status = export_once(client, exported);
        // The node that led has gone, or restarted, with what it had frozen.
        if (status.code != pb::STATUS_ESTALE && status.code != pb::STATUS_UNAVAILABLE) break;
    }
    return status;
}

NamespaceWalk::NamespaceWalk(const Namespace& files) : files_(files) {
    std::map<ChunkKey, bool> used;
    for (auto at = files.inodes().inodes().begin(); at.valid(); at.next()) {
        const Inode& inode = at.value();
        if (!inode.is_directory && !inode.is_named) continue;  // An upload that is not complete.
        ++(inode.is_directory ? directories_ : file_count_);
        if (inode.is_directory) continue;
        file_bytes_ += inode.stored_bytes;
        if (inode.content == 0) continue;
        files.extents().for_each_in(inode.content, 0, UINT64_MAX, [&](const FileExtent& extent) {
            used[extent.chunk] = true;
            return true;
        });
    }
    for (const auto& [key, value] : used) {
        const ChunkTable::Chunk* known = files.chunks().find(key);
        pb::BackupChunk chunk;
        fill_chunk_id(key, chunk.mutable_id());
        chunk.set_allocated_at_us(known->allocated_at_us);
        chunk.set_length(known->length);
        chunk_bytes_ += known->length;
        chunk_numbers_.emplace(key, chunks_.size());
        chunks_.push_back(std::move(chunk));
    }
}

std::vector<std::string> NamespaceWalk::replicas_of(size_t chunk) const {
    return files_.chunks().replicas_of(*files_.chunks().find(key_of(chunks_[chunk].id())));
}

void NamespaceWalk::fill(uint64_t id, uint64_t parent, const std::string& name, pb::BackupEntry* entry) const {
    const Inode& inode = files_.inodes().at(id);
    entry->Clear();
    entry->set_inode(id);
    entry->set_parent(parent);
    entry->set_name(name);
    entry->set_directory(inode.is_directory);
    entry->set_mode(inode.mode);
    entry->set_uid(inode.uid);
    entry->set_gid(inode.gid);
    entry->set_size(inode.size);
    entry->set_access_time_us(inode.access_time_us);
    entry->set_modify_time_us(inode.modify_time_us);
    entry->set_change_time_us(inode.change_time_us);
    entry->set_birth_time_us(inode.birth_time_us);
    if (inode.is_directory || inode.content == 0) return;
    files_.extents().for_each_in(inode.content, 0, UINT64_MAX, [&](const FileExtent& extent) {
        pb::BackupExtent* added = entry->add_extents();
        added->set_offset(extent.offset);
        added->set_length(extent.length);
        added->set_chunk(chunk_numbers_.at(extent.chunk));
        added->set_chunk_offset(extent.chunk_offset);
        return true;
    });
}

bool NamespaceWalk::next(pb::BackupEntry* entry) {
    if (!begun_) {
        begun_ = true;
        levels_.push_back({kRootInode, ""});
        fill(kRootInode, 0, "", entry);
        return true;
    }
    while (!levels_.empty()) {
        const uint64_t directory = levels_.back().directory;
        std::string name;
        uint64_t child = 0;
        files_.inodes().for_each_entry(directory, levels_.back().after, [&](const std::string& found, uint64_t inode) {
            name = found;
            child = inode;
            return false;
        });
        if (child == 0) {
            levels_.pop_back();
            continue;
        }
        levels_.back().after = name;
        fill(child, directory, name, entry);
        if (entry->directory()) levels_.push_back({child, ""});
        return true;
    }
    return false;
}

std::map<std::string, std::string> node_addresses(const pb::ClusterStatus& status) {
    std::map<std::string, std::string> addresses;
    for (const pb::NodeStatus& node : status.nodes()) {
        if (!node.address().empty()) addresses[node.id()] = node.address();
    }
    return addresses;
}

}  // namespace sandstore
