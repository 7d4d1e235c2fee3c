// Whole files through the blocking client: pieces of a few chunks, several under way. A file that fits into one piece
// is read and written in one step; for a longer one the cluster is told, by a lease (client/file_lease.h): a content
// that is read stays until it is read, and an upload has no name before it is complete.
#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>

#include "client/calls.h"
#include "client/client.h"
#include "client/file_lease.h"
#include "client/settings.h"
#include "client/zeros.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kPieceBytes = 8ull << 20;
constexpr size_t kPiecesInFlight = 4;
constexpr uint64_t kPatienceUs =
    10'000;  // For the client's own affairs, before a silent source or a full sink is asked again.
constexpr uint64_t kReadLeaseTimeoutUs = 5'000'000;  // A cluster that takes no changes may be read all the same.

ClientStatus local_error(int error) {
    return ClientStatus(static_cast<pb::StatusCode>(error), std::string(kOnThisMachine));
}

ClientStatus no_answer() {
    return ClientStatus(pb::STATUS_INTERNAL, "the client did not answer itself");
}

// Whatever became of the pieces: they had no name yet.
ClientStatus nothing_changed(ClientStatus status) {
    if (status.message == kOnThisMachine) return status;
    std::string_view why = status.message;
    for (const std::string_view prefix : {kNothingChanged, kOutcomeUnknown}) {
        if (why.starts_with(prefix)) why.remove_prefix(prefix.size());
    }
    status.message = str_cat(kNothingChanged, why.empty() ? text_of(status.code) : std::string(why));
    return status;
}

// Fills one piece; shorter only at the end of the source. What is not filled is never touched: to clear a whole piece
// for a file of 4 KiB would take longer than to store it.
Result<Payload> next_piece(const ByteSource& source, uint64_t size, const std::function<void()>& meanwhile) {
    const std::shared_ptr<char[]> bytes = std::make_shared_for_overwrite<char[]>(size);
    size_t filled = 0;
    while (filled < size) {
        const int64_t count = source(bytes.get() + filled, size - filled);
        if (count == -EAGAIN) {
            meanwhile();
            continue;
        }
        if (count < 0) return local_error(static_cast<int>(-count));
        if (count == 0) break;
        filled += static_cast<size_t>(count);
    }
    return Payload::view_of(bytes, std::string_view(bytes.get(), filled));
}

// Empties the piece: 0, or an errno.
int hand_over(const ByteSink& sink, Payload bytes, const std::function<void()>& meanwhile) {
    while (!bytes.empty()) {
        const int64_t count = sink(bytes);
        if (count < 0 && count != -EAGAIN) return static_cast<int>(-count);
        if (count > 0) bytes = bytes.slice(static_cast<size_t>(count), bytes.size());
        if (count <= 0) meanwhile();
    }
    return 0;
}

ClientStatus given_up() {
    return ClientStatus(pb::STATUS_ESTALE, str_cat(kNothingChanged, kUploadGivenUp));
}

std::string directory_of(std::string_view path) {
    while (path.ends_with('/')) path.remove_suffix(1);
    const size_t slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? "" : path.substr(0, slash + 1));
}

}  // namespace

// A multiple of the chunk size, so that chunks are full, and what one ClientWrite may carry.
uint64_t Client::piece_bytes() const {
    const uint64_t chunk = options_.chunk_bytes_max == 0
                               ? kChunkBytesMax
                               : std::clamp(options_.chunk_bytes_max, kChunkBytesMin, kChunkBytesMax);
    return std::min<uint64_t>(std::max<uint64_t>(1, kPieceBytes / chunk), kChunksPerWriteMax / 2) * chunk;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

Result<pb::Attributes> Client::write_file(std::string_view path, const ByteSource& source,
                                          const TransferProgress& progress, std::optional<uint32_t> mode) {
    Result<Payload> first = next_piece(source, piece_bytes(), [] {});
    if (!first.ok()) return first.status();
    if (first->size() < piece_bytes()) return write_short_file(path, std::move(first).take(), mode);
    return write_long_file(path, std::move(first).take(), source, progress, mode);
}

// What fits into one write makes the file, or replaces its content, in one mutation.
Result<pb::Attributes> Client::write_short_file(std::string_view path, Payload bytes, std::optional<uint32_t> mode) {
    pb::ClientWrite write;
    write.mutable_at()->set_path(std::string(path));
    write.set_truncate(true);
    write.set_create(true);
    if (mode) write.set_mode(*mode);
    const Result<pb::ClientWriteReply> reply = write_bytes(std::move(write), std::move(bytes));
    if (!reply.ok()) return reply.status();
    return reply->attributes();
}

Result<pb::Attributes> Client::write_long_file(std::string_view path, Payload first, const ByteSource& source,
                                               const TransferProgress& progress, std::optional<uint32_t> mode) {
    if (ClientStatus status = check_place(path); !status.ok()) return status;
    FileLease upload(*this);
    pb::LeaseFile lease;
    lease.set_upload(true);
    if (const auto taken = upload.take(std::move(lease), 0); !taken.ok()) return nothing_changed(taken.status());
    if (ClientStatus status = write_pieces(upload, std::move(first), source, progress); !status.ok()) {
        const bool is_stale = status.code == pb::STATUS_ESTALE && status.message != kOnThisMachine;
        return is_stale && upload.has_ended() ? given_up() : nothing_changed(status);
    }
    pb::Mutation mutation;
    pb::PublishFile& publish = *mutation.mutable_publish_file();
    publish.set_lease_id(upload.id());
    publish.mutable_at()->set_path(std::string(path));
    if (mode) publish.set_mode(*mode);
    Result<pb::Attributes> published = mutate(std::move(mutation));
    if (published.ok()) upload.published();
    if (published.code() == pb::STATUS_ENOENT && upload.has_ended()) {
        return given_up();
    }
    return published;
}

// Tells before all the bytes are sent what would be told after it; the publishing decides.
ClientStatus Client::check_place(std::string_view path) {
    const Result<pb::Attributes> before = stat(path);
    if (before.ok()) return ClientStatus(before->type() == pb::FILE_TYPE_DIRECTORY ? pb::STATUS_EISDIR : pb::STATUS_OK);
    return before.code() == pb::STATUS_ENOENT ? stat(directory_of(path)).status() : before.status();
}

ClientStatus Client::write_pieces(FileLease& upload, Payload first, const ByteSource& source,
                                  const TransferProgress& progress) {
    // Answers may come after this function has given up: what they touch is shared.
    struct Shared {
        size_t under_way = 0;
        uint64_t done_bytes = 0;
        ClientStatus failure;
    };
    const auto shared = std::make_shared<Shared>();
    const auto meanwhile = [this, &upload] {
        upload.keep();
        run_until([] { return false; }, kPatienceUs);
    };
    uint64_t offset = 0;
    Payload piece = std::move(first);
    while (!piece.empty() && shared->failure.ok()) {
        const uint64_t length = piece.size();
        pb::ClientWrite write;
        write.mutable_at()->set_inode(upload.inode());
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
        if (!upload.run_until(room)) return no_answer();
        if (progress) progress(shared->done_bytes);
        Result<Payload> next = next_piece(source, piece_bytes(), meanwhile);
        if (!next.ok() && shared->failure.ok()) shared->failure = next.status();
        piece = next.ok() ? std::move(next).take() : Payload();
    }
    while (shared->under_way > 0) {
        const size_t before = shared->under_way;
        const bool ended = upload.run_until([&shared, before] { return shared->under_way < before; });
        if (progress) progress(shared->done_bytes);
        if (!ended) return no_answer();
    }
    return shared->failure;
}

// --- Reading ---------------------------------------------------------------------------------------------------------

Result<pb::Attributes> Client::read_file(std::string_view path, const ByteSink& sink,
                                         const TransferProgress& progress) {
    const Result<pb::Attributes> found = stat(path);
    if (!found.ok()) return found;
    if (found->type() == pb::FILE_TYPE_DIRECTORY) return ClientStatus(pb::STATUS_EISDIR);
    if (found->size() > piece_bytes()) return read_long_file(path, sink, progress);
    pb::ClientRead read;
    read.mutable_at()->set_path(std::string(path));
    read.set_length(piece_bytes());
    const Message reply = call(message_of(std::move(read)));
    if (const ClientStatus status(status_of_reply(reply)); !status.ok()) return status;
    const pb::Attributes& attributes = reply->client_read_reply().attributes();
    // Another file by now, or a longer one.
    if (attributes.size() > reply.payload.size()) return read_long_file(path, sink, progress);
    if (const int error = hand_over(sink, reply.payload, [] {}); error != 0) return local_error(error);
    if (progress) progress(reply.payload.size());
    return attributes;
}

// Without a lease it goes well, too, unless the file is replaced meanwhile.
Result<Client::Opened> Client::open_content(std::string_view path, FileLease& lease) {
    pb::LeaseFile request;
    request.mutable_at()->set_path(std::string(path));
    const auto taken = lease.take(std::move(request), std::min(options_.timeout_us, kReadLeaseTimeoutUs));
    if (taken.ok()) return Opened{taken->attributes(), taken->content()};
    switch (taken.code()) {
        case pb::STATUS_ENOSPC:
        case pb::STATUS_EBUSY:
        case pb::STATUS_UNAVAILABLE:
        case pb::STATUS_DEADLINE_EXCEEDED:
            break;
        default:
            return taken.status();
    }
    pb::Query request_without;
    request_without.mutable_read_extents()->mutable_at()->set_path(std::string(path));
    const Result<pb::QueryResult> found = query(std::move(request_without));
    if (!found.ok()) return found.status();
    return Opened{found->attributes(), found->content()};
}

Result<pb::Attributes> Client::read_long_file(std::string_view path, const ByteSink& sink,
                                              const TransferProgress& progress) {
    FileLease lease(*this);
    const Result<Opened> opened = open_content(path, lease);
    if (!opened.ok()) return opened.status();
    const auto meanwhile = [this, &lease] {
        lease.keep();
        run_until([] { return false; }, kPatienceUs);
    };
    const uint64_t size = opened->attributes.size();
    struct Piece {
        uint64_t length = 0;
        std::optional<Message> reply;
    };
    std::deque<std::shared_ptr<Piece>> pieces;
    uint64_t asked = 0;
    uint64_t done = 0;
    while (done < size) {
        while (asked < size && pieces.size() < kPiecesInFlight) {
            const auto piece = std::make_shared<Piece>();
            piece->length = std::min(piece_bytes(), size - asked);
            pb::ClientRead read;
            read.mutable_at()->set_inode(opened->attributes.inode());
            read.set_content(opened->content);
            read.set_offset(asked);
            read.set_length(piece->length);
            asked += piece->length;
            pieces.push_back(piece);
            if (opened->content != 0) {
                submit(message_of(std::move(read)), [piece](Message reply) { piece->reply = std::move(reply); });
                continue;
            }
            Payload zeros;  // No extent at all: one hole.
            append_zeros(&zeros, piece->length);
            piece->reply = message_of(pb::ClientReadReply(), std::move(zeros));
        }
        const std::shared_ptr<Piece> piece = pieces.front();
        pieces.pop_front();
        if (!lease.run_until([&piece] { return piece->reply.has_value(); })) return no_answer();
        if (const ClientStatus status(status_of_reply(*piece->reply)); !status.ok()) return status;
        const Payload& bytes = piece->reply->payload;
        if (bytes.size() < piece->length) {
            return ClientStatus(pb::STATUS_ESTALE, "the file was cut short while it was read: read it again");
        }
        if (const int error = hand_over(sink, bytes, meanwhile); error != 0) return local_error(error);
        done += bytes.size();
        if (progress) progress(done);
    }
    return opened->attributes;
}

}  // namespace sandstore
