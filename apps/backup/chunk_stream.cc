#include "apps/backup/chunk_stream.h"

#include <algorithm>

#include "apps/backup/files.h"
#include "client/calls.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kLookUpUs = 200'000;  // How often the hold and Ctrl-C are thought of.

}  // namespace

// Nodes come, go and move while a long backup runs.
ClientStatus ChunkStream::learn_addresses() {
    const Result<pb::ClusterStatus> status = client_.cluster_status();
    if (!status.ok()) return status.status();
    for (auto& [node, address] : node_addresses(*status)) addresses_[node] = address;
    return {};
}

void ChunkStream::ask(Fetch* fetch) {
    const pb::BackupChunk& chunk = walk_.chunks()[fetch->number];
    pb::ClientReadChunk read;
    *read.mutable_place()->mutable_id() = chunk.id();
    read.set_length(chunk.length());
    const std::vector<std::string> replicas = walk_.replicas_of(fetch->number);
    for (const std::string& node : replicas) {
        if (const auto found = addresses_.find(node); found != addresses_.end()) {
            read.mutable_place()->add_addresses(found->second);
        }
    }
    ++fetch->attempts;
    fetch->reply = std::make_shared<std::optional<Message>>();
    client_.submit(message_of(std::move(read)), [reply = fetch->reply](Message answer) { *reply = std::move(answer); });
}

void ChunkStream::ask_more() {
    while (asked_ < order_.size() && under_way_.size() < kChunksAhead) {
        const uint64_t length = walk_.chunks()[order_[asked_]].length();
        if (!under_way_.empty() && bytes_under_way_ + length > kBytesAhead) return;
        Fetch fetch;
        fetch.number = order_[asked_++];
        ask(&fetch);
        bytes_under_way_ += length;
        under_way_.push_back(std::move(fetch));
    }
}

Result<Payload> ChunkStream::next() {
    SANDSTORE_CHECK(!at_end(), "no chunk is left");
    if (addresses_.empty()) {
        if (ClientStatus status = learn_addresses(); !status.ok()) {
            broken_ = true;
            return status;
        }
    }
    ask_more();
    while (true) {
        Fetch& fetch = under_way_.front();
        client_.run_until([&fetch] { return fetch.reply->has_value(); }, kLookUpUs);
        ClientStatus status = interrupted() ? ClientStatus(pb::STATUS_UNAVAILABLE, "interrupted") : hold_.keep();
        if (!status.ok()) {
            broken_ = true;
            return status;
        }
        if (!fetch.reply->has_value()) continue;
        Message reply = std::move(**fetch.reply);
        status = ClientStatus(status_of_reply(reply));
        if (!status.ok() && fetch.attempts < kAttemptsMax) {
            (void)learn_addresses();
            ask(&fetch);
            continue;
        }
        bytes_under_way_ -= walk_.chunks()[fetch.number].length();
        under_way_.pop_front();
        ++taken_;
        ask_more();
        if (!status.ok()) return status;
        return std::move(reply.payload);
    }
}

}  // namespace sandstore
