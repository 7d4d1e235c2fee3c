// Whole files through the blocking client: pieces of a few chunks, several under way.
#include <algorithm>
#include <deque>
#include <memory>
#include <optional>

#include "client/calls.h"
#include "client/client.h"
#include "client/settings.h"
#include "runtime/event_runtime.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kPieceBytes = 8ull << 20;
constexpr size_t kPiecesInFlight = 4;

ClientStatus local_error(int error) {
    return ClientStatus(static_cast<pb::StatusCode>(error), std::string(kOnThisMachine));
}

// Fills one piece; shorter only at the end of the source.
Result<Payload> next_piece(const ByteSource& source, uint64_t size) {
    std::string bytes(size, '\0');
    size_t filled = 0;
    while (filled < size) {
        const int64_t count = source(bytes.data() + filled, size - filled);
        if (count < 0) return local_error(static_cast<int>(-count));
        if (count == 0) break;
        filled += static_cast<size_t>(count);
    }
    bytes.resize(filled);
    return Payload(std::move(bytes));
}

// In the directory of `path`, so that renaming it into place stays within the directory.
std::string temporary_beside(std::string_view path) {
    while (path.ends_with('/')) path.remove_suffix(1);
    const size_t slash = path.rfind('/');
    const std::string_view directory = slash == std::string_view::npos ? "" : path.substr(0, slash + 1);
    return str_cat(directory, str_format(".put-%016llx", static_cast<unsigned long long>(random_seed_of_system())));
}

}  // namespace

// A multiple of the chunk size, so that chunks are full, and what one ClientWrite may carry.
uint64_t Client::piece_bytes() const {
    const uint64_t chunk = options_.chunk_bytes_max == 0
                               ? kChunkBytesMax
                               : std::clamp(options_.chunk_bytes_max, kChunkBytesMin, kChunkBytesMax);
    return std::min<uint64_t>(std::max<uint64_t>(1, kPieceBytes / chunk), kChunksPerWriteMax / 2) * chunk;
}

Result<pb::Attributes> Client::write_file(std::string_view path, const ByteSource& source,
                                          const TransferProgress& progress) {
    Result<Payload> first = next_piece(source, piece_bytes());
    if (!first.ok()) return first.status();
    if (first->size() < piece_bytes()) return write_short_file(path, std::move(first).take());
    return write_long_file(path, std::move(first).take(), source, progress);
}

// What fits into one write replaces the old content in one mutation.
Result<pb::Attributes> Client::write_short_file(std::string_view path, Payload bytes) {
    const Result<pb::Attributes> created = create_file(path, true);
    if (!created.ok() && created.code() != pb::STATUS_EEXIST) return created;
    if (created.ok() && bytes.empty()) return created;
    pb::ClientWrite write;
    write.mutable_at()->set_path(std::string(path));
    write.set_truncate(true);
    Result<pb::ClientWriteReply> reply = write_bytes(std::move(write), std::move(bytes));
    if (reply.ok()) return reply->attributes();
    // Nobody is to find an empty file because this one could not be filled.
    if (created.ok()) (void)remove_file(path);
    return reply.status();
}

// Anything longer is written beside and renamed into place.
Result<pb::Attributes> Client::write_long_file(std::string_view path, Payload first, const ByteSource& source,
                                               const TransferProgress& progress) {
    const Result<pb::Attributes> before = stat(path);
    if (!before.ok() && before.code() != pb::STATUS_ENOENT) return before;
    if (before.ok() && before->type() == pb::FILE_TYPE_DIRECTORY) return ClientStatus(pb::STATUS_EISDIR);
    const std::string temporary = temporary_beside(path);
    const Result<pb::Attributes> created = create_file(temporary, true, before.ok() ? before->mode() : 0644);
    if (!created.ok()) return created;
    ClientStatus status = write_pieces(created->inode(), std::move(first), source, progress);
    if (status.ok()) status = rename(temporary, path);
    if (status.ok()) return stat(path);
    (void)remove_file(temporary);
    return status;
}

ClientStatus Client::write_pieces(uint64_t inode, Payload first, const ByteSource& source,
                                  const TransferProgress& progress) {
    // Answers may come after this function has given up: what they touch is shared.
    struct Shared {
        size_t under_way = 0;
        uint64_t done_bytes = 0;
        ClientStatus failure;
    };
    const auto shared = std::make_shared<Shared>();
    uint64_t offset = 0;
    Payload piece = std::move(first);
    while (!piece.empty() && shared->failure.ok()) {
        const uint64_t length = piece.size();
        pb::ClientWrite write;
        write.mutable_at()->set_inode(inode);
        write.set_offset(offset);
        ++shared->under_way;
        submit(message_of(std::move(write), std::move(piece)), [shared, length](const Message& reply) {
            --shared->under_way;
            const ClientStatus status(status_of_reply(reply));
            if (status.ok()) shared->done_bytes += length;
            if (!status.ok() && shared->failure.ok()) shared->failure = status;
        });
        offset += length;
        const auto room = [&shared] { return shared->under_way < kPiecesInFlight || !shared->failure.ok(); };
        run_until(room, options_.timeout_us + 1'000'000);
        if (progress) progress(shared->done_bytes);
        Result<Payload> next = next_piece(source, piece_bytes());
        if (!next.ok() && shared->failure.ok()) shared->failure = next.status();
        piece = next.ok() ? std::move(next).take() : Payload();
    }
    while (shared->under_way > 0) {
        const size_t before = shared->under_way;
        const bool ended =
            run_until([&shared, before] { return shared->under_way < before; }, options_.timeout_us + 1'000'000);
        if (progress) progress(shared->done_bytes);
        if (!ended) return ClientStatus(pb::STATUS_INTERNAL, "the client did not answer itself");
    }
    return shared->failure;
}

Result<pb::Attributes> Client::read_file(std::string_view path, const ByteSink& sink,
                                         const TransferProgress& progress) {
    const Result<pb::Attributes> attributes = stat(path);
    if (!attributes.ok()) return attributes;
    if (attributes->type() == pb::FILE_TYPE_DIRECTORY) return ClientStatus(pb::STATUS_EISDIR);
    struct Piece {
        std::optional<Message> reply;
    };
    std::deque<std::shared_ptr<Piece>> pieces;
    uint64_t asked = 0;
    uint64_t done = 0;
    while (true) {
        while (asked < attributes->size() && pieces.size() < kPiecesInFlight) {
            pb::ClientRead read;
            read.mutable_at()->set_inode(attributes->inode());
            read.set_offset(asked);
            read.set_length(std::min(piece_bytes(), attributes->size() - asked));
            asked += read.length();
            const auto piece = std::make_shared<Piece>();
            submit(message_of(std::move(read)), [piece](Message reply) { piece->reply = std::move(reply); });
            pieces.push_back(piece);
        }
        if (pieces.empty()) return attributes;
        const std::shared_ptr<Piece> piece = pieces.front();
        pieces.pop_front();
        if (!run_until([&piece] { return piece->reply.has_value(); }, options_.timeout_us + 1'000'000)) {
            return ClientStatus(pb::STATUS_INTERNAL, "the client did not answer itself");
        }
        const ClientStatus status(status_of_reply(*piece->reply));
        if (!status.ok()) return status;
        const int error = sink(piece->reply->payload);
        if (error != 0) return local_error(error);
        done += piece->reply->payload.size();
        if (progress) progress(done);
    }
}

}  // namespace sandstore
