#include "actors/log/recovery.h"

#include <algorithm>

#include "actors/log/record.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/planted.h"

namespace sandstore {

namespace {

constexpr size_t kHeadersInOneRead = LogRecovery::kReadBytes / kSegmentHeaderBytes;

constexpr std::string_view kDamageAdvice =
    ". Acknowledged entries may be gone, so this node does not start. Restore the file, or if a majority of the "
    "cluster is healthy, remove this node's data directory and let it join again";

bool same(const pb::HardState& a, const pb::HardState& b) {
    return a.term() == b.term() && a.voted_for() == b.voted_for();
}

}  // namespace

LogRecovery::LogRecovery(const pb::StartLog& start) : start_(start) {}

DiskCall LogRecovery::begin() {
    DiskCall call;
    call.make_directory(start_.directory());  // Also syncs it: the process before may have died before it could.
    call.list(start_.directory());
    return call;
}

LogRecovery::Progress LogRecovery::on_reply(const DiskCall& call, const pb::DiskReply& reply, const Payload& payload,
                                            DiskCall* next) {
    if (reply.error() != 0) {
        return refuse(str_cat("The log cannot be read back: ", describe_failure(call.request, reply),
                              ". Check the disk, then start the node again"));
    }
    switch (phase_) {
        case Phase::kList:
            return on_list(reply, next);
        case Phase::kHeaders:
            return on_headers(payload, next);
        case Phase::kBlocks:
            return take_read(call, reply, payload) ? walk(next) : Progress::kRefused;
        case Phase::kTail:
            return take_read(call, reply, payload) ? search_tail(next) : Progress::kRefused;
        case Phase::kSettle:
            return Progress::kDone;
    }
    return Progress::kRefused;
}

// --- Files and headers

LogRecovery::Progress LogRecovery::on_list(const pb::DiskReply& reply, DiskCall* next) {
    for (const pb::DiskFile& file : reply.files()) {
        const std::optional<LogFileName> name = parse_file_name(file.name());
        if (!name) {
            notes_.push_back(str_cat("ignoring the unknown file ", start_.directory(), "/", file.name()));
        } else if (!name->spare) {
            segments_.push_back({name->number, file.size(), {}});
        } else {
            result_.next_spare_number = std::max(result_.next_spare_number, name->number + 1);
            SpareSegment spare{spare_file(start_.directory(), name->number), file.size()};
            const bool useful = file.size() >= start_.segment_bytes() && file.size() <= kSegmentBytesMax &&
                                result_.spares.size() < kSparesMax;
            if (useful) {
                result_.spares.push_back(std::move(spare));
            } else {
                junk_.push_back(std::move(spare.file));
            }
        }
    }
    std::sort(segments_.begin(), segments_.end(),
              [](const Segment& a, const Segment& b) { return a.number < b.number; });
    for (const Segment& segment : segments_) result_.segments.push_back({segment.number, segment.size_bytes});
    if (segments_.empty()) return settle(next);
    phase_ = Phase::kHeaders;
    return read_headers(next);
}

LogRecovery::Progress LogRecovery::read_headers(DiskCall* next) {
    const size_t end = std::min(segments_.size(), place_ + kHeadersInOneRead);
    for (size_t i = place_; i < end; i++) next->read(file_of(segments_[i]), 0, kSegmentHeaderBytes);
    return Progress::kMore;
}

LogRecovery::Progress LogRecovery::on_headers(const Payload& payload, DiskCall* next) {
    const size_t end = std::min(segments_.size(), place_ + kHeadersInOneRead);
    const std::string bytes = payload.to_string();
    size_t offset = 0;
    for (; place_ < end; place_++) {
        Segment& segment = segments_[place_];
        // A shorter file gave fewer bytes.
        const size_t length = std::min<uint64_t>(segment.size_bytes, kSegmentHeaderBytes);
        if (offset + length > bytes.size()) return damaged(0, "could be read only in part");
        if (!check_header(&segment, std::string_view(bytes).substr(offset, length))) return Progress::kRefused;
        offset += length;
    }
    if (place_ < segments_.size()) return read_headers(next);
    place_ = 0;
    if (!check_order()) return Progress::kRefused;

    const SegmentHeader& first = segments_.front().header;
    result_.index = LogIndex(first.first_index, first.last_term);
    result_.hard_state = first.hard_state;
    result_.next_sequence = first.first_sequence;
    phase_ = Phase::kBlocks;
    return enter_segment(next);
}

bool LogRecovery::check_header(Segment* segment, std::string_view bytes) {
    SegmentHeader& header = segment->header;
    const std::string file = file_of(*segment);
    uint32_t version = 0;
    switch (decode_segment_header(bytes, &header, &version)) {
        case HeaderCheck::kValid:
            break;
        case HeaderCheck::kUnknownVersion:
            refuse(str_cat(file, " has format version ", version, ", and this program reads version ",
                           kSegmentFormatVersion, ": run the version of sandstore that wrote it"));
            return false;
        case HeaderCheck::kDamaged:
            damaged(0, "has no valid header");
            return false;
    }
    if (header.cluster_id != start_.cluster_id() || header.node_id != start_.node_id()) {
        refuse(str_cat(file, " belongs to node ", header.node_id, " of cluster ", header.cluster_id,
                       ", and this is node ", start_.node_id(), " of cluster ", start_.cluster_id(),
                       ": start it with its own data directory, or with an empty one"));
        return false;
    }
    if (header.number != segment->number) {
        damaged(0, str_cat("says that it is segment ", header.number));
        return false;
    }
    if (header.segment_bytes != segment->size_bytes) {
        damaged(0, str_cat("is ", segment->size_bytes, " bytes long instead of ", header.segment_bytes));
        return false;
    }
    return true;
}

// No segment may be missing between others.
bool LogRecovery::check_order() {
    for (size_t i = 1; i < segments_.size(); i++) {
        if (segments_[i].number == segments_[i - 1].number + 1) continue;
        refuse(str_cat(segment_file(start_.directory(), segments_[i - 1].number + 1),
                       " is missing, and later segments are there", kDamageAdvice));
        return false;
    }
    return true;
}

// --- Blocks

LogRecovery::Progress LogRecovery::enter_segment(DiskCall* next) {
    const SegmentHeader& header = current().header;
    LogIndex& index = result_.index;
    // A truncation to before the first segment left no entry, and nothing that knows the term before it, but this.
    if (place_ > 0 && index.empty() && index.last_term() == 0) index = LogIndex(index.first_index(), header.last_term);
    if (header.first_sequence != result_.next_sequence || header.first_index != index.last_index() + 1 ||
        header.last_index != index.last_index() || header.last_term != index.last_term() ||
        !same(header.hard_state, result_.hard_state)) {
        return damaged(0, "does not continue the segment before it");
    }
    window_.clear();
    last_block_.clear();
    position_ = kSegmentHeaderBytes;
    window_start_ = position_;
    return walk(next);
}

LogRecovery::Progress LogRecovery::walk(DiskCall* next) {
    while (true) {
        switch (walk_block()) {
            case Walk::kBlock:
                break;
            case Walk::kNeedMore:
                *next = read_more();
                return Progress::kMore;
            case Walk::kRefused:
                return Progress::kRefused;
            case Walk::kSegmentEnd:
                if (in_last_segment()) {
                    phase_ = Phase::kTail;
                    tail_offset_ = position_;
                    position_ += kBlockAlignment;
                    return search_tail(next);
                }
                place_++;
                return enter_segment(next);
        }
    }
}

LogRecovery::Walk LogRecovery::walk_block() {
    if (!in_last_segment() && result_.next_sequence == segments_[place_ + 1].header.first_sequence) {
        return Walk::kSegmentEnd;  // What is left of the file was too small for the next block.
    }
    const uint64_t left = current().size_bytes - position_;
    if (left < kBlockHeaderBytes) return bad_block("");
    if (!in_window(kBlockHeaderBytes)) return Walk::kNeedMore;
    const std::string_view bytes = window_at_position();
    const std::optional<BlockHeader> header = decode_block_header(bytes);
    if (!header) return bad_block(may_be_block(bytes.data()) ? "its header is damaged" : "");
    const bool of_a_former_life = header->salt != current().header.salt || header->sequence < result_.next_sequence;
    if (of_a_former_life && !planted("recycled-bytes-taken-for-records")) return bad_block("");
    if (header->sequence > result_.next_sequence) {
        damaged(position_, str_cat("has block ", header->sequence, " in the place of block ", result_.next_sequence));
        return Walk::kRefused;
    }
    if (header->is_seal) return bad_block("");  // The block before it is the last one.
    if (header->block_bytes() > left) return bad_block("it is longer than the file");
    if (!in_window(header->block_bytes())) return Walk::kNeedMore;
    const std::string_view body = bytes.substr(kBlockHeaderBytes, header->body_bytes);
    if (crc32c(body) != header->body_crc && !planted("torn-tail-accepted")) return bad_block("its checksum is wrong");
    if (!apply_block(*header, body)) return Walk::kRefused;

    if (in_last_segment()) {
        last_block_.assign(bytes.substr(0, header->block_bytes()));
        last_block_offset_ = position_;
    }
    position_ += header->block_bytes();
    result_.next_sequence++;
    return Walk::kBlock;
}

// There is no block at position_: the end of the log when this is the last segment, and damage otherwise. `why` is
// empty when the bytes do not look as if a block had been begun.
LogRecovery::Walk LogRecovery::bad_block(std::string_view why) {
    if (in_last_segment()) {
        tail_problem_ = why;
        return Walk::kSegmentEnd;
    }
    damaged(position_, str_cat("has no valid block ", result_.next_sequence, why.empty() ? "" : ": ", why));
    return Walk::kRefused;
}

// A block whose checksums are right must make sense.
bool LogRecovery::apply_block(const BlockHeader& header, std::string_view body) {
    if (header.has_unknown_flags) {
        refuse(str_cat(file_of(current()), " holds a block that this program does not know, at offset ", position_,
                       ": run the version of sandstore that wrote it"));
        return false;
    }
    if (header.has_hard_state) {
        if (header.hard_state_term < result_.hard_state.term()) {
            damaged(position_, "has a block that lowers the term");
            return false;
        }
        result_.hard_state.set_term(header.hard_state_term);
        result_.hard_state.set_voted_for(std::string(body.substr(0, header.vote_bytes)));
    }
    size_t at = header.vote_bytes;
    if (header.has_restart) {
        const pb::LogStart restart = decode_restart(body.substr(at));
        at += kRestartBytes;
        result_.index = LogIndex(restart.index() + 1, restart.term());
        result_.configurations.clear();
    }
    if (header.first_index != 0 && !apply_truncation(header.first_index)) return false;
    return apply_records(header, body.substr(at), position_ + kBlockHeaderBytes + at);
}

bool LogRecovery::apply_truncation(uint64_t first_index) {
    LogIndex& index = result_.index;
    if (first_index > index.last_index() + 1) {
        damaged(position_, str_cat("has a block for entry ", first_index, " after entry ", index.last_index()));
        return false;
    }
    if (first_index < index.first_index()) {
        // What it reaches back into was in a segment that compaction has dropped since: the log begins here.
        index = LogIndex(first_index);
    } else {
        index.truncate_from(first_index);
    }
    auto& configurations = result_.configurations;
    configurations.erase(configurations.lower_bound(first_index), configurations.end());
    return true;
}

// `offset`: of the records in the file.
bool LogRecovery::apply_records(const BlockHeader& header, std::string_view records, uint64_t offset) {
    LogIndex& index = result_.index;
    RecordReader reader(Payload::view_of(nullptr, records));  // The window outlives it.
    RecordHeader record;
    uint32_t count = 0;
    for (size_t at = 0; reader.next_header(&record); at += record.encoded_bytes(), count++) {
        if (record.index != index.last_index() + 1 || record.term < index.last_term() || header.first_index == 0) {
            damaged(position_, str_cat("has entry ", record.index, " of term ", record.term, " after entry ",
                                       index.last_index(), " of term ", index.last_term()));
            return false;
        }
        index.append(record.term, {static_cast<uint32_t>(current().number), static_cast<uint32_t>(offset + at),
                                   static_cast<uint32_t>(record.encoded_bytes())});
        if (record.type == RecordType::kConfiguration) {
            result_.configurations[record.index] = records.substr(at + kRecordHeaderBytes, record.data_bytes);
        }
    }
    if (reader.damaged() || count != header.record_count) {
        damaged(position_, str_cat("has a block with bad records: ", reader.damaged() ? reader.problem() : "too few"));
        return false;
    }
    return true;
}

// --- The tail

// Looks through the rest of the last segment for a block that would have come later: then the bad one is not the tail.
LogRecovery::Progress LogRecovery::search_tail(DiskCall* next) {
    const uint64_t end = current().size_bytes;
    for (; position_ + kBlockHeaderBytes <= end; position_ += kBlockAlignment) {
        if (!in_window(kBlockHeaderBytes)) {
            *next = read_more();
            return Progress::kMore;
        }
        const std::string_view bytes = window_at_position();
        if (!may_be_block(bytes.data())) continue;
        const std::optional<BlockHeader> header = decode_block_header(bytes);
        if (!header || header->salt != current().header.salt || header->sequence < result_.next_sequence) continue;
        if (planted("damage-taken-for-the-end")) break;
        return damaged(tail_offset_,
                       str_cat("has no valid block ", result_.next_sequence, tail_problem_.empty() ? "" : ": ",
                               tail_problem_, ", but block ", header->sequence, " is at offset ", position_));
    }
    if (!tail_problem_.empty()) {
        notes_.push_back(str_cat("dropping an incomplete block at the end of the log, left by a crash: ",
                                 file_of(current()), " offset ", tail_offset_, ", ", tail_problem_));
    }
    return settle(next);
}

// What was read must be on disk before anybody relies on it. The process before may have died between write and sync;
// or its sync failed, and then the cache may hold what the disk does not, and a new sync would not write it. So the
// header and the last block are written once more, with the bytes they have. Earlier ones were synced before the last
// one was written.
LogRecovery::Progress LogRecovery::settle(DiskCall* next) {
    phase_ = Phase::kSettle;
    window_ = std::string();
    if (!segments_.empty()) {
        const Segment& segment = current();
        result_.segment = OpenSegment{segment.number, segment.size_bytes, segment.header.salt, tail_offset_};
        const std::string file = file_of(segment);
        next->write(file, 0, Payload(encode_segment_header(segment.header)));
        const bool seals = !last_block_.empty() && tail_offset_ + kBlockHeaderBytes <= segment.size_bytes;
        if (!last_block_.empty()) next->write(file, last_block_offset_, Payload(std::move(last_block_)));
        next->sync(file);
        if (seals && !planted("log-not-sealed")) {
            next->write(file, tail_offset_, Payload(encode_seal(result_.next_sequence, segment.header.salt)));
        }
    }
    for (const std::string& file : junk_) next->remove(file);
    return next->request.operations().empty() ? Progress::kDone : Progress::kMore;
}

// --- Small parts

DiskCall LogRecovery::read_more() {
    const uint64_t done = std::min<uint64_t>(position_ - window_start_, window_.size());
    window_.erase(0, done);
    window_start_ += done;
    const uint64_t from = window_start_ + window_.size();
    DiskCall call;
    call.read(file_of(current()), from, std::min(kReadBytes, current().size_bytes - from));
    return call;
}

bool LogRecovery::take_read(const DiskCall& call, const pb::DiskReply&, const Payload& payload) {
    const auto& read = call.request.operations(0).read();
    if (payload.size() != read.length()) {
        damaged(read.offset(), str_cat("gave ", payload.size(), " bytes instead of ", read.length()));
        return false;
    }
    for (const Payload::Piece& piece : payload.pieces()) window_.append(piece.bytes);
    return true;
}

LogRecovery::Progress LogRecovery::refuse(std::string why) {
    refusal_ = std::move(why);
    return Progress::kRefused;
}

LogRecovery::Progress LogRecovery::damaged(uint64_t offset, std::string_view what) {
    return refuse(
        str_cat("The log is damaged at ", file_of(current()), " offset ", offset, ": the file ", what, kDamageAdvice));
}

}  // namespace sandstore
