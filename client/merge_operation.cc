// What a write does in the end when it made a stripe of the file crowded: small extents that lie beside each other are
// read, written as one chunk and put in their place, unless they have changed meanwhile. So a file stays in few pieces,
// however small the writes are, and whoever makes the pieces pays for that. The write is done already: whatever fails
// here is left to the next one.
#include <algorithm>

#include "actors/chunk/chunk_key.h"
#include "actors/fs/extent_digest.h"
#include "client/checksums.h"
#include "client/operation.h"
#include "client/zeros.h"

namespace sandstore {

namespace {

class MergeOperation final : public Operation {
 public:
    MergeOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::FileRange crowded, pb::ClientWriteReply reply)
        : Operation(id, std::move(asker), until_us), crowded_(std::move(crowded)), reply_(std::move(reply)) {}

    void start(Work& work) override;
    void on_call_ended(CallEnd end, Work& work) override;
    uint64_t bytes_held() const override { return crowded_.length(); }

 private:
    // Not among the tags of the write, whose number this operation goes on under.
    enum class Step : uint8_t { kExtents = 0x80, kGet, kAllocate, kPut, kReplace };

    struct Piece {
        FileExtent extent;
        std::vector<std::string> addresses;
        size_t tried = 0;
        Payload bytes;
    };

    static uint64_t tag(Step step, size_t piece = 0) { return (static_cast<uint64_t>(step) << 56) | piece; }

    void on_extents(const pb::QueryResult& result, Work& work);
    bool choose(const pb::QueryResult& result, uint64_t length_max);
    void fetch_more(Work& work);
    void fetch(size_t index, Work& work);
    void on_bytes(size_t index, CallEnd end, Work& work);
    void put_together();
    void on_place(const pb::AllocateChunksReply& allocated, Work& work);
    void replace(Work& work);
    void finish(Work& work) { answer(message_of(std::move(reply_)), work); }

    static constexpr uint64_t kSmallShare = 32;  // An extent is small that is shorter than this part of a stripe.
    static constexpr size_t kMergedMin = 16;     // Fewer are not worth the trouble.

    const pb::FileRange crowded_;
    pb::ClientWriteReply reply_;
    std::vector<Piece> pieces_;  // By offset.
    size_t next_ = 0;
    size_t fetched_ = 0;
    ExtentDigest digest_;
    Payload bytes_;
    pb::ChunkPlace place_;
};

void MergeOperation::start(Work& work) {
    pb::Query query;
    query.mutable_read_extents()->mutable_at()->set_inode(reply_.attributes().inode());
    query.mutable_read_extents()->set_offset(crowded_.offset());
    query.mutable_read_extents()->set_length(crowded_.length());
    call_leader(tag(Step::kExtents), message_of(std::move(query)), work);
}

void MergeOperation::on_call_ended(CallEnd end, Work& work) {
    const auto step = static_cast<Step>(end.owner.tag >> 56);
    if (step == Step::kGet) return on_bytes(end.owner.tag & 0xffffffff, std::move(end), work);
    if (end.status.code() != pb::STATUS_OK) return finish(work);
    switch (step) {
        case Step::kExtents:
            return on_extents(end.reply->query_result(), work);
        case Step::kAllocate:
            return on_place(end.reply->allocate_chunks_reply(), work);
        case Step::kPut: {
            const auto stored = static_cast<uint32_t>(end.reply->chunk_put_reply().stored_on_size());
            return stored >= place_.acknowledgements_needed() ? replace(work) : finish(work);
        }
        default:
            return finish(work);
    }
}

void MergeOperation::on_extents(const pb::QueryResult& result, Work& work) {
    if (!choose(result, std::min(work.chunk_bytes_max, crowded_.length()))) return finish(work);
    for (const Piece& piece : pieces_) digest_.add(piece.extent);
    fetch_more(work);
}

// From a small extent to the last small one that fits into one chunk with it. Longer ones in between come along.
bool MergeOperation::choose(const pb::QueryResult& result, uint64_t length_max) {
    if (result.more()) return false;
    size_t wanted = 0;
    for (const pb::Extent& extent : result.extents()) {
        const bool small = extent.length() <= std::min(crowded_.length() / kSmallShare, length_max);
        if (!pieces_.empty()) {
            const FileExtent& first = pieces_.front().extent;
            if (extent.offset() < pieces_.back().extent.end()) return false;  // No answer of a sane server.
            if (extent.offset() + extent.length() - first.offset > length_max) {
                if (wanted >= kMergedMin) break;
                pieces_.clear();
                wanted = 0;
            }
        }
        if (pieces_.empty() && !small) continue;
        Piece piece;
        piece.extent = {extent.offset(), extent.length(), key_of(extent.chunk().id()), extent.chunk_offset()};
        for (const std::string& address : extent.chunk().addresses()) {
            if (is_server_address(address)) piece.addresses.push_back(address);
        }
        pieces_.push_back(std::move(piece));
        if (small) wanted = pieces_.size();
    }
    pieces_.resize(wanted);
    return wanted >= kMergedMin;
}

void MergeOperation::fetch_more(Work& work) {
    while (!finished() && next_ < pieces_.size() && next_ - fetched_ < kGetsInParallel) fetch(next_++, work);
}

void MergeOperation::fetch(size_t index, Work& work) {
    Piece& piece = pieces_[index];
    if (piece.tried >= piece.addresses.size()) return finish(work);
    pb::ChunkGet get;
    *get.mutable_id() = id_of(piece.extent.chunk);
    get.set_offset(piece.extent.chunk_offset);
    get.set_length(piece.extent.length);
    call_chunks(tag(Step::kGet, index), piece.addresses[piece.tried++], message_of(std::move(get)), piece.extent.length,
                work);
}

void MergeOperation::on_bytes(size_t index, CallEnd end, Work& work) {
    Piece& piece = pieces_[index];
    const bool intact = end.status.code() == pb::STATUS_OK && end.reply.payload.size() == piece.extent.length &&
                        crc32c(end.reply.payload) == end.reply->chunk_get_reply().payload_crc32c();
    if (!intact) return fetch(index, work);
    piece.bytes = std::move(end.reply.payload);
    if (++fetched_ < pieces_.size()) return fetch_more(work);
    put_together();
    pb::AllocateChunks allocate;
    allocate.set_count(1);
    allocate.set_chunk_bytes(bytes_.size());
    call_leader(tag(Step::kAllocate), message_of(allocate), work);
}

// What no extent covers reads as zeros, and becomes some.
void MergeOperation::put_together() {
    uint64_t at = pieces_.front().extent.offset;
    for (Piece& piece : pieces_) {
        append_zeros(&bytes_, piece.extent.offset - at);
        bytes_.append(std::move(piece.bytes));
        at = piece.extent.end();
    }
}

void MergeOperation::on_place(const pb::AllocateChunksReply& allocated, Work& work) {
    if (allocated.places_size() != 1) return finish(work);
    place_ = allocated.places(0);
    if (place_.addresses_size() == 0 || !is_server_address(place_.addresses(0))) return finish(work);
    pb::ChunkPut put;
    *put.mutable_place() = place_;
    *put.mutable_checksums() = chunk_checksums(bytes_);
    put.set_forward(true);
    call_chunks(tag(Step::kPut), place_.addresses(0), message_of(std::move(put), bytes_), bytes_.size(), work);
}

void MergeOperation::replace(Work& work) {
    pb::Mutation mutation;
    mutation.set_uid(work.settings.uid);
    mutation.set_gid(work.settings.gid);
    pb::ReplaceExtents& request = *mutation.mutable_replace_extents();
    request.mutable_at()->set_inode(reply_.attributes().inode());
    request.set_digest(digest_.value());
    pb::Extent& extent = *request.mutable_extent();
    extent.set_offset(pieces_.front().extent.offset);
    extent.set_length(bytes_.size());
    extent.set_chunk_length(bytes_.size());
    *extent.mutable_chunk() = place_;
    extent.mutable_chunk()->clear_addresses();
    work.mutations.begin(std::move(mutation), owner(tag(Step::kReplace)), until_us(), work.calls, work.context);
}

}  // namespace

std::unique_ptr<Operation> make_merge_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::FileRange crowded,
                                                pb::ClientWriteReply reply) {
    return std::make_unique<MergeOperation>(id, std::move(asker), until_us, std::move(crowded), std::move(reply));
}

}  // namespace sandstore
