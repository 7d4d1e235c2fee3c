// ClientWrite: places for the chunks are asked for, the chunks are stored in parallel, and one mutation makes them part
// of the file. How long chunks are to be the leader says with the places. A chunk whose store failed is sent again:
// once more to the same place when it is not known whether it is there, else to a new one; it keeps its id as long as
// the new place is on the same nodes, so that trying again fills no disk. Full disks are told after a few places.
// Nothing is visible before the mutation, so giving up until then leaves the file as it was, and what was stored for
// nothing is given back.
#include <algorithm>

#include "client/checksums.h"
#include "client/operation.h"
#include "client/result.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

bool on_the_same_nodes(const pb::ChunkPlace& a, const pb::ChunkPlace& b) {
    const auto& of_a = a.replicas();
    return of_a.size() == b.replicas_size() && std::is_permutation(of_a.begin(), of_a.end(), b.replicas().begin());
}

class WriteOperation final : public Operation {
 public:
    WriteOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientWrite write, Payload bytes)
        : Operation(id, std::move(asker), until_us), write_(std::move(write)), bytes_(std::move(bytes)) {}

    void start(Work& work) override;
    void on_call_ended(CallEnd end, Work& work) override;
    uint64_t bytes_held() const override { return bytes_.size(); }

 private:
    enum class Step : uint8_t { kStat, kAllocate, kAllocateAgain, kPut, kCommit };
    enum class PieceState : uint8_t { kPlaceless, kWaiting, kStoring, kStored };

    struct Piece {
        uint64_t offset = 0;  // In the payload.
        uint64_t length = 0;
        pb::ChunkPlace place;
        pb::ChunkChecksums checksums;
        PieceState state = PieceState::kPlaceless;
        bool id_is_spent = false;  // Other bytes have it, or damaged ones: a new place needs a new id.
        unsigned failures = 0;
        unsigned tries_here = 0;  // At this place.
        unsigned full_places = 0;
    };

    // A call's tag: the round it belongs to, the step, and the piece, or the first one.
    uint64_t tag(Step step, size_t piece = 0) const {
        return (static_cast<uint64_t>(round_) << 32) | (static_cast<uint64_t>(step) << 16) | piece;
    }

    void split(uint64_t chunk_bytes_max);
    void allocate(size_t first, Work& work, uint64_t delay_us = 0);
    size_t allocated_with(size_t first) const;
    bool learn_chunk_size(const pb::AllocateChunksReply& reply, Work& work);
    void on_places(size_t first, CallEnd end, Work& work);
    void on_new_place(size_t index, CallEnd end, Work& work);
    void store_waiting(Work& work);
    void store(size_t index, Work& work);
    void on_stored(size_t index, CallEnd end, Work& work);
    void store_again(size_t index, bool elsewhere, Work& work);
    uint64_t longest_piece() const;
    void give_back(Piece* piece);
    void commit(Work& work);
    void on_committed(CallEnd end, Work& work);
    void finish(pb::ClientWriteReply reply, Work& work);
    void fail(pb::Status status, Work& work);
    pb::Status before_commit(const pb::Status& status) const;
    bool place_is_usable(const pb::ChunkPlace& place) const;
    void put_trusted_first(pb::ChunkPlace* place, const Work& work) const;

    static constexpr uint32_t kRoundsMax = 3;
    static constexpr unsigned kSplitsMax = 3;
    static constexpr unsigned kRefusalsMax = 2;
    static constexpr unsigned kFullPlacesMax = 3;
    static constexpr unsigned kTriesPerPlaceMax = 2;
    static constexpr uint64_t kStorePauseMaxUs = 2'000'000;

    pb::ClientWrite write_;
    const Payload bytes_;
    std::vector<Piece> pieces_;
    std::vector<pb::AbandonChunks::Chunk> given_back_;  // Places that may hold bytes for nothing.
    unsigned splits_ = 0;
    uint32_t round_ = 0;  // Rises when everything is done again; ends of earlier rounds are ignored.
    size_t storing_ = 0;
    size_t stored_ = 0;
    std::string last_error_;
};

void WriteOperation::start(Work& work) {
    if (bytes_.size() > kTransferBytesMax) {
        fail(make_status(pb::STATUS_INVALID_ARGUMENT,
                         str_cat("one write carries at most ", kTransferBytesMax, " bytes")),
             work);
    } else if (write_.offset() > kFileOffsetMax) {
        fail(make_status(pb::STATUS_EINVAL, "negative offset"), work);
    } else if (bytes_.size() > kFileOffsetMax - write_.offset()) {
        fail(make_status(pb::STATUS_EFBIG, "the file would be too large"), work);
    } else if (bytes_.empty() && !write_.truncate() && !write_.create()) {
        // Changes nothing, but says whether the file is there.
        pb::Query query;
        *query.mutable_stat()->mutable_at() = write_.at();
        call_leader(tag(Step::kStat), message_of(std::move(query)), work);
    } else if (bytes_.empty()) {
        commit(work);
    } else {
        split(work.chunk_bytes_max);
        allocate(0, work);
    }
}

// At multiples of the chunk size in the file, so that rewriting a whole aligned run replaces whole chunks. Chunks are
// longer than they should be where one commit could not name them all.
void WriteOperation::split(uint64_t chunk_bytes_max) {
    ++splits_;
    pieces_.clear();
    while (bytes_.size() / chunk_bytes_max + 2 > kChunksPerWriteMax) chunk_bytes_max *= 2;
    const uint64_t start = write_.append() ? 0 : write_.offset();
    for (uint64_t done = 0; done < bytes_.size();) {
        const uint64_t to_boundary = chunk_bytes_max - (start + done) % chunk_bytes_max;
        Piece piece;
        piece.offset = done;
        piece.length = std::min<uint64_t>(to_boundary, bytes_.size() - done);
        piece.checksums = chunk_checksums(bytes_.slice(piece.offset, piece.length));
        done += piece.length;
        pieces_.push_back(std::move(piece));
    }
}

uint64_t WriteOperation::longest_piece() const {
    uint64_t longest = 0;
    for (const Piece& piece : pieces_) longest = std::max(longest, piece.length);
    return longest;
}

size_t WriteOperation::allocated_with(size_t first) const {
    return std::min<size_t>(kChunksPerAllocationMax, pieces_.size() - first);
}

void WriteOperation::allocate(size_t first, Work& work, uint64_t delay_us) {
    pb::AllocateChunks allocate;
    allocate.set_count(static_cast<uint32_t>(allocated_with(first)));
    allocate.set_chunk_bytes(longest_piece());
    call_leader(tag(Step::kAllocate, first), message_of(allocate), work, delay_us);
}

void WriteOperation::on_call_ended(CallEnd end, Work& work) {
    if (end.owner.tag >> 32 != round_) return;
    const auto step = static_cast<Step>(end.owner.tag >> 16 & 0xffff);
    const size_t index = end.owner.tag & 0xffff;
    switch (step) {
        case Step::kStat: {
            if (end.status.code() != pb::STATUS_OK) return fail(std::move(end.status), work);
            pb::ClientWriteReply reply;
            *reply.mutable_attributes() = end.reply->query_result().attributes();
            const bool is_directory = reply.attributes().type() == pb::FILE_TYPE_DIRECTORY;
            if (is_directory) return fail(make_status(pb::STATUS_EISDIR, "Is a directory"), work);
            reply.set_offset(write_.append() ? reply.attributes().size() : write_.offset());
            return answer(message_of(std::move(reply)), work);
        }
        case Step::kAllocate:
            return on_places(index, std::move(end), work);
        case Step::kAllocateAgain:
            return on_new_place(index, std::move(end), work);
        case Step::kPut:
            return on_stored(index, std::move(end), work);
        case Step::kCommit:
            return on_committed(std::move(end), work);
    }
}

bool WriteOperation::place_is_usable(const pb::ChunkPlace& place) const {
    return place.has_id() && place.replicas_size() > 0 && place.replicas_size() == place.addresses_size() &&
           is_server_address(place.addresses(0));
}

// Whether the bytes are to be split anew.
bool WriteOperation::learn_chunk_size(const pb::AllocateChunksReply& reply, Work& work) {
    if (reply.chunk_bytes_max() == 0) return false;  // Of a server that does not say.
    work.chunk_bytes_max = std::clamp(reply.chunk_bytes_max(), kChunkBytesMin, work.settings.chunk_bytes_max);
    if (splits_ >= kSplitsMax || longest_piece() <= work.chunk_bytes_max) return false;
    const uint64_t longest = longest_piece();
    split(work.chunk_bytes_max);
    return longest_piece() < longest;
}

void WriteOperation::on_places(size_t first, CallEnd end, Work& work) {
    if (end.status.code() != pb::STATUS_OK) return fail(before_commit(end.status), work);
    if (first == 0 && learn_chunk_size(end.reply->allocate_chunks_reply(), work)) return allocate(0, work);
    auto& places = *end.reply->mutable_allocate_chunks_reply()->mutable_places();
    const bool usable = places.size() == static_cast<int>(allocated_with(first)) &&
                        std::all_of(places.begin(), places.end(), [this](const auto& p) { return place_is_usable(p); });
    if (!usable) return fail(make_status(pb::STATUS_INTERNAL, "the server gave unusable places for chunks"), work);
    size_t next = first;
    for (pb::ChunkPlace& place : places) {
        Piece& piece = pieces_[next++];
        piece.place = std::move(place);
        piece.state = PieceState::kWaiting;
        piece.tries_here = 0;
    }
    if (next < pieces_.size()) allocate(next, work);
    store_waiting(work);
}

void WriteOperation::store_waiting(Work& work) {
    for (size_t i = 0; i < pieces_.size() && storing_ < kPutsInParallel; ++i) {
        if (pieces_[i].state == PieceState::kWaiting) store(i, work);
    }
}

// The first replica takes the bytes and forwards them: better not one that did not answer a moment ago.
void WriteOperation::put_trusted_first(pb::ChunkPlace* place, const Work& work) const {
    for (int i = 0; i < place->addresses_size(); ++i) {
        if (work.calls.distrusted(place->addresses(i), work.context.now_us())) continue;
        if (!is_server_address(place->addresses(i))) continue;
        std::rotate(place->mutable_addresses()->begin(), place->mutable_addresses()->begin() + i,
                    place->mutable_addresses()->end());
        std::rotate(place->mutable_replicas()->begin(), place->mutable_replicas()->begin() + i,
                    place->mutable_replicas()->end());
        return;
    }
}

void WriteOperation::store(size_t index, Work& work) {
    Piece& piece = pieces_[index];
    piece.state = PieceState::kStoring;
    ++storing_;
    ++piece.tries_here;
    put_trusted_first(&piece.place, work);
    pb::ChunkPut put;
    *put.mutable_place() = piece.place;
    *put.mutable_checksums() = piece.checksums;
    put.set_forward(true);
    call_chunks(tag(Step::kPut, index), piece.place.addresses(0),
                message_of(std::move(put), bytes_.slice(piece.offset, piece.length)), piece.length, work);
}

void WriteOperation::on_stored(size_t index, CallEnd end, Work& work) {
    Piece& piece = pieces_[index];
    if (end.status.code() == pb::STATUS_OK) {
        const pb::ChunkPutReply& reply = end.reply->chunk_put_reply();
        if (static_cast<uint32_t>(reply.stored_on_size()) >= piece.place.acknowledgements_needed()) {
            piece.state = PieceState::kStored;
            --storing_;
            if (++stored_ == pieces_.size()) return commit(work);
            return store_waiting(work);
        }
        end.status = make_status(pb::STATUS_UNAVAILABLE, "too few replicas have the bytes");
    }
    last_error_ = str_cat(piece.place.addresses(0), ": ", end.status.message());
    const pb::StatusCode code = end.status.code();
    if (code == pb::STATUS_ENOSPC && ++piece.full_places >= kFullPlacesMax) return fail(std::move(end.status), work);
    // Another node may answer at the address by now, so one refusal is no proof that the chunk is at fault.
    const bool refused = code == pb::STATUS_INVALID_ARGUMENT;
    piece.id_is_spent = code == pb::STATUS_EEXIST || code == pb::STATUS_CORRUPTED;
    if (refused && piece.failures >= kRefusalsMax) return fail(std::move(end.status), work);
    const bool may_be_there = code == pb::STATUS_UNAVAILABLE || code == pb::STATUS_DEADLINE_EXCEEDED;
    store_again(index, !may_be_there || piece.tries_here >= kTriesPerPlaceMax, work);
}

// At the same place, another replica is asked first: what is there already costs no room again. A new place may be on
// better nodes.
void WriteOperation::store_again(size_t index, bool elsewhere, Work& work) {
    Piece& piece = pieces_[index];
    const unsigned failures = piece.failures++;
    work.context.warn("a chunk could not be stored and is sent again",
                      {{"attempt", failures + 2}, {"elsewhere", elsewhere}, {"why", last_error_}});
    if (!elsewhere && time_left(work)) {
        std::rotate(piece.place.mutable_addresses()->begin(), piece.place.mutable_addresses()->begin() + 1,
                    piece.place.mutable_addresses()->end());
        std::rotate(piece.place.mutable_replicas()->begin(), piece.place.mutable_replicas()->begin() + 1,
                    piece.place.mutable_replicas()->end());
        --storing_;
        return store(index, work);
    }
    pb::AllocateChunks allocate;
    allocate.set_count(1);
    allocate.set_chunk_bytes(piece.length);
    *allocate.mutable_avoid() = piece.place.replicas();
    call_leader(tag(Step::kAllocateAgain, index), message_of(allocate), work,
                failures == 0 ? 0 : work.calls.backoff_us(failures, work.context, kStorePauseMaxUs));
}

void WriteOperation::on_new_place(size_t index, CallEnd end, Work& work) {
    if (end.status.code() != pb::STATUS_OK) {
        return fail(before_commit(end.status), work);
    }
    auto& places = *end.reply->mutable_allocate_chunks_reply()->mutable_places();
    if (places.size() != 1 || !place_is_usable(places[0])) {
        return fail(make_status(pb::STATUS_INTERNAL, "the server gave unusable places for chunks"), work);
    }
    Piece& piece = pieces_[index];
    pb::ChunkPlace& place = places[0];
    if (!piece.id_is_spent && on_the_same_nodes(place, piece.place)) {
        *place.mutable_id() = piece.place.id();
        place.set_allocated_at_us(piece.place.allocated_at_us());
    } else {
        give_back(&piece);
    }
    piece.place = std::move(place);
    piece.id_is_spent = false;
    piece.tries_here = 0;
    --storing_;
    store(index, work);
}

// From now on nothing commits what is at this place. An id that other bytes have may be somebody else's.
void WriteOperation::give_back(Piece* piece) {
    if (piece->tries_here == 0 || piece->id_is_spent) return;
    pb::AbandonChunks::Chunk& chunk = given_back_.emplace_back();
    *chunk.mutable_id() = piece->place.id();
    chunk.set_allocated_at_us(piece->place.allocated_at_us());
    piece->tries_here = 0;
}

void WriteOperation::commit(Work& work) {
    pb::Mutation mutation;
    mutation.set_uid(work.settings.uid);
    mutation.set_gid(work.settings.gid);
    pb::CommitExtents& commit = *mutation.mutable_commit_extents();
    *commit.mutable_at() = write_.at();
    commit.set_offset(write_.append() ? 0 : write_.offset());
    commit.set_append(write_.append());
    commit.set_truncate(write_.truncate());
    commit.set_create(write_.create());
    if (write_.has_mode()) commit.set_mode(write_.mode());
    for (const Piece& piece : pieces_) {
        pb::Extent& extent = *commit.add_extents();
        extent.set_offset(piece.offset);
        extent.set_length(piece.length);
        extent.set_chunk_offset(0);
        extent.set_chunk_length(piece.length);
        *extent.mutable_chunk() = piece.place;
        extent.mutable_chunk()->clear_addresses();  // Node ids last; addresses are looked up when they are needed.
    }
    work.mutations.begin(std::move(mutation), owner(tag(Step::kCommit)), until_us(), work.calls, work.context);
}

void WriteOperation::on_committed(CallEnd end, Work& work) {
    if (end.status.code() == pb::STATUS_ESTALE && !pieces_.empty() && round_ + 1 < kRoundsMax && time_left(work)) {
        // The places grew too old on the way. Refused before it had an effect: once more from the start.
        ++round_;
        storing_ = 0;
        stored_ = 0;
        for (Piece& piece : pieces_) {
            give_back(&piece);
            piece.state = PieceState::kPlaceless;
        }
        return allocate(0, work, work.calls.backoff_us(round_, work.context));
    }
    if (end.status.code() != pb::STATUS_OK) {
        // What may be in the file yet is not given back.
        if (end.outcome_unknown) pieces_.clear();
        return fail(mutation_status(end), work);
    }
    const pb::MutationResult& result = end.reply->mutation_result();
    pb::ClientWriteReply reply;
    *reply.mutable_status() = result.status();
    *reply.mutable_attributes() = result.attributes();
    reply.set_offset(write_.append() ? result.offset() : write_.offset());
    if (result.has_crowded() && given_back_.empty()) {
        return put_extents_together(result.crowded(), std::move(reply), work);
    }
    finish(std::move(reply), work);
}

void WriteOperation::finish(pb::ClientWriteReply reply, Work& work) {
    answer(message_of(std::move(reply)), work);
    if (!given_back_.empty()) abandon(std::move(given_back_), work);
}

// Until the mutation is sent the file is as it was, and the writer should know.
pb::Status WriteOperation::before_commit(const pb::Status& status) const {
    if (status.code() != pb::STATUS_DEADLINE_EXCEEDED) return status;
    const std::string why =
        last_error_.empty() ? status.message() : str_cat("no answer in time (last: ", last_error_, ")");
    return make_status(status.code(), str_cat(kNothingChanged, why));
}

void WriteOperation::fail(pb::Status status, Work& work) {
    pb::ClientWriteReply reply;
    *reply.mutable_status() = std::move(status);
    for (Piece& piece : pieces_) give_back(&piece);
    finish(std::move(reply), work);
}

}  // namespace

std::unique_ptr<Operation> make_write_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientWrite write,
                                                Payload bytes) {
    return std::make_unique<WriteOperation>(id, std::move(asker), until_us, std::move(write), std::move(bytes));
}

}  // namespace sandstore
