// ClientRead: the extents from the leader, then the ranges of the chunks in parallel, each from one replica and, when
// that one has it not, damaged or not in time, from the next. When each has damage somewhere in the range, the range is
// halved, down to single blocks, and each half comes from whoever has that intact. Every byte is checked against the
// reply's checksum.
#include <algorithm>

#include "actors/chunk/chunk_file.h"
#include "client/operation.h"
#include "client/zeros.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

bool same_chunk(const pb::ChunkId& one, const pb::ChunkId& other) {
    return one.term() == other.term() && one.number() == other.number();
}

class ReadOperation final : public Operation {
 public:
    ReadOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientRead read)
        : Operation(id, std::move(asker), until_us), read_(std::move(read)) {}

    void start(Work& work) override;
    void on_call_ended(CallEnd end, Work& work) override;

 private:
    enum class Step : uint8_t { kStat, kExtents, kGet };

    // A range of one chunk.
    struct Piece {
        uint64_t file_offset = 0;
        uint64_t length = 0;
        pb::ChunkId chunk;
        uint64_t chunk_offset = 0;
        std::vector<std::string> addresses;  // In the order to try.
        size_t tried = 0;
        bool may_come_back = false;  // A replica did not answer, rather than not have it.
        bool damaged = false;        // A replica has it, with damage.
        Payload bytes;
    };

    // A call's tag: the round it belongs to, the step, and the piece.
    uint64_t tag(Step step, size_t piece = 0) const {
        return (static_cast<uint64_t>(round_) << 48) | (static_cast<uint64_t>(step) << 40) | piece;
    }

    void ask_extents(uint64_t offset, Work& work, uint64_t delay_us);
    void on_extents(CallEnd end, Work& work);
    bool plan(const pb::Extent& extent, Work& work);
    void order_replicas(Piece* piece, const pb::ChunkPlace& place, Work& work) const;
    void fetch_more(Work& work);
    void fetch(size_t index, Work& work);
    void on_bytes(size_t index, CallEnd end, Work& work);
    bool halve(size_t index);
    void on_no_replica(const Piece& piece, Work& work);
    void finish(Work& work);
    void fail(pb::Status status, Work& work);

    static constexpr size_t kPiecesMax = 1 << 20;

    pb::ClientRead read_;
    pb::Attributes attributes_;
    bool have_attributes_ = false;
    uint64_t end_ = 0;      // Of what will be returned.
    uint64_t planned_ = 0;  // Everything before has its piece or is a hole.
    std::vector<Piece> pieces_;
    size_t next_ = 0;
    size_t under_way_ = 0;
    size_t done_ = 0;
    uint32_t round_ = 0;  // Rises with every new start; ends of earlier rounds are ignored.
    unsigned unreachable_rounds_ = 0;
    bool read_again_ = false;  // The extents were read anew because no replica had a chunk.
    std::string last_error_;
};

void ReadOperation::start(Work& work) {
    if (read_.length() > kTransferBytesMax) {
        return fail(
            make_status(pb::STATUS_INVALID_ARGUMENT, str_cat("one read is at most ", kTransferBytesMax, " bytes")),
            work);
    }
    if (read_.offset() > kFileOffsetMax) return fail(make_status(pb::STATUS_EINVAL, "negative offset"), work);
    if (read_.length() == 0) {
        pb::Query query;
        *query.mutable_stat()->mutable_at() = read_.at();
        return call_reader(tag(Step::kStat), std::move(query), work);
    }
    ask_extents(read_.offset(), work, 0);
}

void ReadOperation::ask_extents(uint64_t offset, Work& work, uint64_t delay_us) {
    pb::Query query;
    pb::ReadExtents& extents = *query.mutable_read_extents();
    *extents.mutable_at() = read_.at();
    if (have_attributes_) {  // The rest of the same file, whatever its name became meanwhile.
        extents.mutable_at()->set_inode(attributes_.inode());
        extents.mutable_at()->clear_path();
    }
    extents.set_offset(offset);
    extents.set_length(read_.length() - (offset - read_.offset()));
    call_reader(tag(Step::kExtents), std::move(query), work, delay_us);
}

void ReadOperation::on_call_ended(CallEnd end, Work& work) {
    if (end.owner.tag >> 48 != round_) return;
    switch (static_cast<Step>(end.owner.tag >> 40 & 0xff)) {
        case Step::kStat:
            if (end.status.code() != pb::STATUS_OK) return fail(std::move(end.status), work);
            attributes_ = end.reply->query_result().attributes();
            if (attributes_.type() == pb::FILE_TYPE_DIRECTORY) {
                return fail(make_status(pb::STATUS_EISDIR, "Is a directory"), work);
            }
            return finish(work);
        case Step::kExtents:
            return on_extents(std::move(end), work);
        case Step::kGet:
            return on_bytes(end.owner.tag & 0xffffffff, std::move(end), work);
    }
}

void ReadOperation::on_extents(CallEnd end, Work& work) {
    if (end.status.code() != pb::STATUS_OK) {
        if (end.status.code() == pb::STATUS_DEADLINE_EXCEEDED && !last_error_.empty()) {
            end.status.set_message(str_cat("no answer in time (last: ", last_error_, ")"));
        }
        return fail(std::move(end.status), work);
    }
    const pb::QueryResult& result = end.reply->query_result();
    if (!have_attributes_) {
        have_attributes_ = true;
        attributes_ = result.attributes();
        const uint64_t size = attributes_.size();
        end_ = read_.offset() + std::min(read_.length(), size > read_.offset() ? size - read_.offset() : 0);
        planned_ = read_.offset();
    }
    for (const pb::Extent& extent : result.extents()) {
        if (!plan(extent, work)) {
            return fail(make_status(pb::STATUS_INTERNAL, "the server gave overlapping or unusable extents"), work);
        }
    }
    const bool progress = result.extents_size() > 0;
    if (result.more() && progress && planned_ < end_) return ask_extents(planned_, work, 0);
    if (pieces_.empty()) return finish(work);
    fetch_more(work);
}

// The extent's part inside the range, joined to the last piece when it goes on in the same chunk.
bool ReadOperation::plan(const pb::Extent& extent, Work& work) {
    if (extent.offset() > kFileOffsetMax || extent.length() > kFileOffsetMax) return false;
    const uint64_t from = std::max(extent.offset(), read_.offset());
    const uint64_t until = std::min(extent.offset() + extent.length(), end_);
    if (until <= from) return true;
    if (from < planned_ || pieces_.size() >= kPiecesMax) return false;
    const uint64_t chunk_offset = extent.chunk_offset() + (from - extent.offset());
    if (!pieces_.empty()) {
        Piece& last = pieces_.back();
        if (same_chunk(last.chunk, extent.chunk().id()) && last.file_offset + last.length == from &&
            last.chunk_offset + last.length == chunk_offset) {
            last.length += until - from;
            planned_ = until;
            return true;
        }
    }
    Piece piece;
    piece.file_offset = from;
    piece.length = until - from;
    piece.chunk = extent.chunk().id();
    piece.chunk_offset = chunk_offset;
    order_replicas(&piece, extent.chunk(), work);
    pieces_.push_back(std::move(piece));
    planned_ = until;
    return true;
}

// A random one first, to spread the load; those that did not answer a moment ago last.
void ReadOperation::order_replicas(Piece* piece, const pb::ChunkPlace& place, Work& work) const {
    for (const std::string& address : place.addresses()) {
        if (is_server_address(address)) piece->addresses.push_back(address);
    }
    if (piece->addresses.empty()) return;
    const size_t first = work.context.random() % piece->addresses.size();
    std::rotate(piece->addresses.begin(), piece->addresses.begin() + static_cast<ptrdiff_t>(first),
                piece->addresses.end());
    std::stable_partition(piece->addresses.begin(), piece->addresses.end(), [&work](const std::string& address) {
        return !work.calls.distrusted(address, work.context.now_us());
    });
}

void ReadOperation::fetch_more(Work& work) {
    const uint32_t round = round_;
    while (round == round_ && !finished() && next_ < pieces_.size() && under_way_ < kGetsInParallel) {
        ++under_way_;
        fetch(next_++, work);
    }
}

void ReadOperation::fetch(size_t index, Work& work) {
    if (pieces_[index].tried >= pieces_[index].addresses.size() && !halve(index)) {
        return on_no_replica(pieces_[index], work);
    }
    Piece& piece = pieces_[index];
    pb::ChunkGet get;
    *get.mutable_id() = piece.chunk;
    get.set_offset(piece.chunk_offset);
    get.set_length(piece.length);
    call_chunks(tag(Step::kGet, index), piece.addresses[piece.tried++], message_of(std::move(get)), piece.length, work);
}

void ReadOperation::on_bytes(size_t index, CallEnd end, Work& work) {
    Piece& piece = pieces_[index];
    const pb::StatusCode code = end.status.code();
    if (code == pb::STATUS_OK) {
        const bool intact = end.reply.payload.size() == piece.length &&
                            crc32c(end.reply.payload) == end.reply->chunk_get_reply().payload_crc32c();
        if (intact) {
            piece.bytes = std::move(end.reply.payload);
            --under_way_;
            if (++done_ == pieces_.size()) return finish(work);
            return fetch_more(work);
        }
        end.status = make_status(pb::STATUS_CORRUPTED, "the bytes received do not match their checksum or length");
    }
    last_error_ = str_cat(piece.addresses[piece.tried - 1], ": ", end.status.message());
    work.context.warn("a replica could not serve a chunk", {{"replica", piece.addresses[piece.tried - 1]},
                                                            {"chunk_term", piece.chunk.term()},
                                                            {"chunk_number", piece.chunk.number()},
                                                            {"why", end.status.message()}});
    piece.may_come_back |=
        code == pb::STATUS_UNAVAILABLE || code == pb::STATUS_DEADLINE_EXCEEDED || code == pb::STATUS_RESOURCE_EXHAUSTED;
    piece.damaged |= code == pb::STATUS_CORRUPTED;
    fetch(index, work);
}

// Damage costs the blocks that are damaged. The second half joins the pieces that wait: the end puts them in order.
bool ReadOperation::halve(size_t index) {
    Piece& piece = pieces_[index];
    const uint64_t first_block = piece.chunk_offset / kChunkBlockBytes;
    const uint64_t blocks = block_count(piece.chunk_offset + piece.length) - first_block;
    if (!piece.damaged || blocks < 2 || pieces_.size() >= kPiecesMax) return false;
    const uint64_t first_bytes = (first_block + blocks / 2) * kChunkBlockBytes - piece.chunk_offset;
    piece.tried = 0;
    piece.damaged = false;
    Piece second = piece;
    second.file_offset += first_bytes;
    second.chunk_offset += first_bytes;
    second.length -= first_bytes;
    piece.length = first_bytes;
    pieces_.push_back(std::move(second));
    return true;
}

// All replicas were tried. The extents may be out of date (an overwrite, a repair), so reading starts again: once when
// no replica has the chunk, until the time is over when one could not be reached.
void ReadOperation::on_no_replica(const Piece& piece, Work& work) {
    if (!piece.may_come_back && read_again_) {
        return fail(make_status(pb::STATUS_EIO,
                                str_cat("no replica has an intact copy of chunk ", piece.chunk.term(), ".",
                                        piece.chunk.number(), last_error_.empty() ? "" : " (last: ", last_error_,
                                        last_error_.empty() ? "" : ")")),
                    work);
    }
    const uint64_t delay_us = piece.may_come_back ? work.calls.backoff_us(unreachable_rounds_++, work.context) : 0;
    if (!piece.may_come_back) read_again_ = true;
    ++round_;
    pieces_.clear();
    next_ = under_way_ = done_ = 0;
    have_attributes_ = false;
    ask_extents(read_.offset(), work, delay_us);
}

void ReadOperation::finish(Work& work) {
    Payload bytes;
    uint64_t at = read_.offset();
    std::ranges::sort(pieces_, {}, &Piece::file_offset);
    for (Piece& piece : pieces_) {
        append_zeros(&bytes, piece.file_offset - at);
        bytes.append(std::move(piece.bytes));
        at = piece.file_offset + piece.length;
    }
    if (end_ > at) append_zeros(&bytes, end_ - at);
    pb::ClientReadReply reply;
    *reply.mutable_attributes() = std::move(attributes_);
    answer(message_of(std::move(reply), std::move(bytes)), work);
}

void ReadOperation::fail(pb::Status status, Work& work) {
    pb::ClientReadReply reply;
    *reply.mutable_status() = std::move(status);
    answer(message_of(std::move(reply)), work);
}

}  // namespace

std::unique_ptr<Operation> make_read_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientRead read) {
    return std::make_unique<ReadOperation>(id, std::move(asker), until_us, std::move(read));
}

}  // namespace sandstore
