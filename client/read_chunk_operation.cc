// ClientReadChunk: a whole chunk from one of its replicas, and when that one has it not, damaged or not in time, from
// the next; again from the first, after a pause, while one that did not answer may come back. When each has damage
// somewhere, it comes in parts from whoever has them intact. Every byte is checked.
#include <algorithm>

#include "actors/chunk/chunk_file.h"
#include "client/operation.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

class ReadChunkOperation final : public Operation {
 public:
    ReadChunkOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientReadChunk read)
        : Operation(id, std::move(asker), until_us), read_(std::move(read)) {}

    void start(Work& work) override {
        if (read_.length() == 0 || read_.length() > kTransferBytesMax) {
            return finish(make_status(pb::STATUS_INVALID_ARGUMENT, "a chunk has 1 byte to 64 MiB"), {}, work);
        }
        for (const std::string& address : read_.place().addresses()) {
            if (is_server_address(address)) servers_.push_back(address);
        }
        if (!servers_.empty()) {
            const auto first = static_cast<ptrdiff_t>(work.context.random() % servers_.size());
            std::rotate(servers_.begin(), servers_.begin() + first, servers_.end());
        }
        std::stable_partition(servers_.begin(), servers_.end(), [&work](const std::string& address) {
            return !work.calls.distrusted(address, work.context.now_us());
        });
        begin_part(read_.length());
        fetch(work);
    }

    void on_call_ended(CallEnd end, Work& work) override {
        // The pause before the next round is the delay of a query, whose answer is of no interest.
        if (end.owner.tag == kPause) {
            tried_ = 0;
            may_come_back_ = false;
            return fetch(work);
        }
        const pb::StatusCode code = end.status.code();
        if (code == pb::STATUS_OK) {
            const bool intact = end.reply->chunk_get_reply().chunk_length() == read_.length() &&
                                end.reply.payload.size() == part_bytes_ &&
                                crc32c(end.reply.payload) == end.reply->chunk_get_reply().payload_crc32c();
            if (intact) {
                bytes_.append(end.reply.payload);
                if (bytes_.size() == read_.length()) return finish({}, std::move(bytes_), work);
                begin_part(read_.length() - bytes_.size());
                return fetch(work);
            }
            end.status = make_status(pb::STATUS_CORRUPTED, "the bytes received do not match their checksum or length");
        }
        str_append(&errors_, errors_.empty() ? "" : "; ", servers_[tried_ - 1], ": ", end.status.message());
        may_come_back_ |= code == pb::STATUS_UNAVAILABLE || code == pb::STATUS_DEADLINE_EXCEEDED ||
                          code == pb::STATUS_RESOURCE_EXHAUSTED;
        damaged_ |= code == pb::STATUS_CORRUPTED;
        fetch(work);
    }

 private:
    static constexpr uint64_t kGet = 0;
    static constexpr uint64_t kPause = 1;

    // The next bytes, whole blocks or to the chunk's end, are asked of everybody.
    void begin_part(uint64_t bytes) {
        part_bytes_ = bytes;
        tried_ = 0;
        damaged_ = false;
    }

    void fetch(Work& work) {
        if (tried_ >= servers_.size() && damaged_ && part_bytes_ > kChunkBlockBytes) {
            begin_part(block_count(part_bytes_) / 2 * kChunkBlockBytes);
        }
        if (tried_ < servers_.size()) {
            pb::ChunkGet get;
            *get.mutable_id() = read_.place().id();
            get.set_offset(bytes_.size());
            get.set_length(part_bytes_);
            return call_chunks(kGet, servers_[tried_++], message_of(std::move(get)), part_bytes_, work);
        }
        if (may_come_back_ && time_left(work)) {
            errors_.clear();
            pb::Query query;
            query.mutable_stat();
            return call_reader(kPause, std::move(query), work, work.calls.backoff_us(rounds_++, work.context));
        }
        const pb::StatusCode code = may_come_back_ ? pb::STATUS_UNAVAILABLE : pb::STATUS_EIO;
        finish(make_status(code, str_cat("no replica has an intact copy of chunk ", read_.place().id().term(), ".",
                                         read_.place().id().number(), errors_.empty() ? "" : " (", errors_,
                                         errors_.empty() ? "" : ")")),
               {}, work);
    }

    void finish(pb::Status status, Payload bytes, Work& work) {
        pb::ClientReadChunkReply reply;
        *reply.mutable_status() = std::move(status);
        answer(message_of(std::move(reply), std::move(bytes)), work);
    }

    pb::ClientReadChunk read_;
    std::vector<std::string> servers_;
    Payload bytes_;            // So far.
    uint64_t part_bytes_ = 0;  // Asked for now.
    size_t tried_ = 0;
    bool damaged_ = false;  // A replica has this part, with damage.
    unsigned rounds_ = 0;
    bool may_come_back_ = false;  // A replica did not answer, rather than not have it.
    std::string errors_;          // Of this round.
};

}  // namespace

std::unique_ptr<Operation> make_read_chunk_operation(uint64_t id, ReplyTo asker, uint64_t until_us,
                                                     pb::ClientReadChunk read) {
    return std::make_unique<ReadChunkOperation>(id, std::move(asker), until_us, std::move(read));
}

}  // namespace sandstore
