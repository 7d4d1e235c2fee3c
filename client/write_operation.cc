// ClientWrite: places for all chunks are asked for at once, the chunks are stored in parallel, and one mutation makes
// them part of the file. A chunk whose store failed is sent again: once more to the same place when it is not known
// whether it is there, else to a new one. Full disks are told after a few places. Nothing is visible before the
// mutation, so giving up until then leaves the file as it was.
#include <algorithm>

#include "client/checksums.h"
#include "client/operation.h"
#include "client/result.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

class WriteOperation final : public Operation {
 public:
    WriteOperation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientWrite write, Payload bytes)
        : Operation(id, std::move(asker), until_us), write_(std::move(write)), bytes_(std::move(bytes)) {}

    void start(Work& work) override;
    void on_call_ended(CallEnd end, Work& work) override;
    uint64_t bytes_held() const override { return bytes_.size(); }

 private:
    enum class Step : uint8_t { kStat, kAllocateAll, kAllocateOne, kPut, kCommit };
    enum class PieceState : uint8_t { kWaiting, kStoring, kStored };

    struct Piece {
        uint64_t offset = 0;  // In the payload.
        uint64_t length = 0;
        pb::ChunkPlace place;
        pb::ChunkChecksums checksums;
        PieceState state = PieceState::kWaiting;
        unsigned failures = 0;
        unsigned tries_here = 0;  // At this place.
        unsigned full_places = 0;
    };

    // A call's tag: the round it belongs to, the step, and the piece.
    uint64_t tag(Step step, size_t piece = 0) const {
        return (static_cast<uint64_t>(round_) << 32) | (static_cast<uint64_t>(step) << 16) | piece;
    }

    void split(uint64_t chunk_bytes_max);
    void allocate_all(Work& work, uint64_t delay_us);
    void on_places(CallEnd end, Work& work);
    void on_new_place(size_t index, CallEnd end, Work& work);
    void store_waiting(Work& work);
    void store(size_t index, Work& work);
    void on_stored(size_t index, CallEnd end, Work& work);
    void store_again(size_t index, bool elsewhere, Work& work);
    uint64_t longest_piece() const;
    void commit(Work& work);
    void on_committed(CallEnd end, Work& work);
    void fail(pb::Status status, Work& work);
    pb::Status before_commit(const pb::Status& status) const;
    bool place_is_usable(const pb::ChunkPlace& place) const;
    void put_trusted_first(pb::ChunkPlace* place, const Work& work) const;

    static constexpr uint32_t kRoundsMax = 3;
    static constexpr unsigned kRefusalsMax = 2;
    static constexpr unsigned kFullPlacesMax = 3;
    static constexpr unsigned kTriesPerPlaceMax = 2;
    static constexpr uint64_t kStorePauseMaxUs = 2'000'000;

    pb::ClientWrite write_;
    const Payload bytes_;
    std::vector<Piece> pieces_;
    uint32_t round_ = 0;  // Rises when everything is done again; ends of earlier rounds are ignored.
    size_t storing_ = 0;
    size_t stored_ = 0;
    std::string last_error_;
};

void WriteOperation::start(Work& work) {
    const uint64_t transfer_max =
        std::min<uint64_t>(kTransferBytesMax, work.settings.chunk_bytes_max * (kChunksPerWriteMax - 1));
    if (bytes_.size() > transfer_max) {
        fail(make_status(pb::STATUS_INVALID_ARGUMENT, str_cat("one write carries at most ", transfer_max, " bytes")),
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
        split(work.settings.chunk_bytes_max);
        allocate_all(work, 0);
    }
}

// At multiples of the chunk size in the file, so that rewriting a whole aligned run replaces whole chunks.
void WriteOperation::split(uint64_t chunk_bytes_max) {
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

void WriteOperation::allocate_all(Work& work, uint64_t delay_us) {
    pb::AllocateChunks allocate;
    allocate.set_count(static_cast<uint32_t>(pieces_.size()));
    allocate.set_chunk_bytes(longest_piece());
    call_leader(tag(Step::kAllocateAll), message_of(allocate), work, delay_us);
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
        case Step::kAllocateAll:
            return on_places(std::move(end), work);
        case Step::kAllocateOne:
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

void WriteOperation::on_places(CallEnd end, Work& work) {
    if (end.status.code() != pb::STATUS_OK) return fail(before_commit(end.status), work);
    auto& places = *end.reply->mutable_allocate_chunks_reply()->mutable_places();
    const bool usable = places.size() == static_cast<int>(pieces_.size()) &&
                        std::all_of(places.begin(), places.end(), [this](const auto& p) { return place_is_usable(p); });
    if (!usable) return fail(make_status(pb::STATUS_INTERNAL, "the server gave unusable places for chunks"), work);
    for (size_t i = 0; i < pieces_.size(); ++i) {
        pieces_[i].place = std::move(places[static_cast<int>(i)]);
        pieces_[i].state = PieceState::kWaiting;
        pieces_[i].tries_here = 0;
    }
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
    call_leader(tag(Step::kAllocateOne, index), message_of(allocate), work,
                failures == 0 ? 0 : work.calls.backoff_us(failures, work.context, kStorePauseMaxUs));
}

void WriteOperation::on_new_place(size_t index, CallEnd end, Work& work) {
    if (end.status.code() != pb::STATUS_OK) {
        return fail(before_commit(end.status), work);
    }
    const auto& places = end.reply->allocate_chunks_reply().places();
    if (places.size() != 1 || !place_is_usable(places[0])) {
        return fail(make_status(pb::STATUS_INTERNAL, "the server gave unusable places for chunks"), work);
    }
    pieces_[index].place = places[0];
    pieces_[index].tries_here = 0;
    --storing_;
    store(index, work);
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
        return allocate_all(work, work.calls.backoff_us(round_, work.context));
    }
    if (end.status.code() != pb::STATUS_OK) return fail(mutation_status(end), work);
    const pb::MutationResult& result = end.reply->mutation_result();
    pb::ClientWriteReply reply;
    *reply.mutable_status() = result.status();
    *reply.mutable_attributes() = result.attributes();
    reply.set_offset(write_.append() ? result.offset() : write_.offset());
    if (result.has_crowded()) return put_extents_together(result.crowded(), std::move(reply), work);
    answer(message_of(std::move(reply)), work);
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
    answer(message_of(std::move(reply)), work);
}

}  // namespace

std::unique_ptr<Operation> make_write_operation(uint64_t id, ReplyTo asker, uint64_t until_us, pb::ClientWrite write,
                                                Payload bytes) {
    return std::make_unique<WriteOperation>(id, std::move(asker), until_us, std::move(write), std::move(bytes));
}

}  // namespace sandstore
