#include "actors/chunk/volume_loader.h"

#include <algorithm>

#include "runtime/crc32c.h"
#include "runtime/disk_error.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

// Of a volume whose first group did not become durable: one chunk, or a group of small ones, and the room behind it.
constexpr uint64_t kNeverBegunBytesMax = kChunkBytesLimit + (16 << 20);

constexpr uint64_t round_to_records(uint64_t bytes) {
    return (bytes + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

}  // namespace

void VolumeLoader::load(const Files& files, Sink sink, Done done, Context& context) {
    files_ = files;
    sink_ = std::move(sink);
    done_ = std::move(done);
    result_ = {};
    index_rest_.clear();
    index_at_ = rest_at_ = last_batch_end_ = kVolumeIndexHeaderBytes;
    gone_.clear();
    gaps_.clear();
    volume_header_.clear();
    index_header_.clear();
    headers_read_ = true;
    read_failed_ = false;
    careful_to_ = unreadable_record_ = 0;
    unreadable_sectors_ = 0;
    read_header(false, false, context);
}

// Either header has all that is needed, so that one of them may be damaged, or impossible to read.
void VolumeLoader::read_header(bool of_index, bool again, Context& context) {
    if (of_index && files_.index_bytes == 0) return judge_headers(context);
    const std::string file = of_index ? volume_index_file(files_.number) : volume_file(files_.number);
    DiskCall call;
    call.read(file, 0, kVolumeIndexHeaderBytes);
    disk_.ask_patiently(
        std::move(call), str_cat("read the header of ", file),
        [this, of_index, again](DiskOutcome& outcome, Context& now) { on_header(of_index, again, outcome, now); },
        context);
}

void VolumeLoader::on_header(bool of_index, bool again, DiskOutcome& outcome, Context& context) {
    if (is_unreadable(outcome.error()) && !again) return read_header(of_index, true, context);
    headers_read_ = headers_read_ && outcome.ok();
    if (outcome.ok()) (of_index ? index_header_ : volume_header_) = outcome.payload.to_string();
    if (!of_index) return read_header(true, false, context);
    judge_headers(context);
}

void VolumeLoader::judge_headers(Context& context) {
    const DecodedVolumeHeader volume = decode_volume_header(volume_header_, files_.number);
    const DecodedVolumeHeader index = decode_volume_index_header(index_header_, files_.number);
    for (const DecodedVolumeHeader* header : {&volume, &index}) {
        if (header->problem != HeadProblem::kUnknownVersion) continue;
        result_.unknown_version = true;
        result_.problem = header->why;
        return end_load(context);
    }
    result_.index_usable = index.problem == HeadProblem::kNone;
    if (volume.problem == HeadProblem::kNone) {
        result_.header = volume.header;
        result_.index_usable = result_.index_usable && index.header.salt == volume.header.salt;
    } else if (result_.index_usable) {
        result_.header = index.header;
    } else {
        const auto is_empty = [](const std::string& bytes) {
            return bytes.find_first_not_of('\0') == std::string::npos;
        };
        result_.problem = headers_read_ ? volume.why : "its header cannot be read";
        result_.never_begun = headers_read_ && is_empty(volume_header_) && is_empty(index_header_) &&
                              files_.volume_bytes <= kNeverBegunBytesMax;
        return end_load(context);
    }
    // What stands in it may be of use to nobody; nothing is written in front of it.
    result_.index_end = std::max(kVolumeIndexHeaderBytes, round_to_records(files_.index_bytes));
    if (!result_.index_usable) return begin_scan(context);
    read_index(context);
}

void VolumeLoader::read_index(Context& context) {
    if (index_at_ >= files_.index_bytes) return begin_scan(context);
    DiskCall call;
    call.read(volume_index_file(files_.number), index_at_, kIndexPieceBytes);
    disk_.ask_patiently(
        std::move(call), str_cat("read ", volume_index_file(files_.number)),
        [this](DiskOutcome& outcome, Context& now) { on_index_piece(outcome, now); }, context);
}

void VolumeLoader::on_index_piece(DiskOutcome& outcome, Context& context) {
    if (!outcome.ok()) {
        if (is_unreadable(outcome.error()) && !std::exchange(read_failed_, true)) return read_index(context);
        // The volume itself says what the index does not.
        context.warn(outcome.status(str_cat("read ", volume_index_file(files_.number))).message());
        return begin_scan(context);
    }
    read_failed_ = false;
    index_rest_.append(outcome.payload.to_string());
    index_at_ += std::max<uint64_t>(outcome.payload.size(), 1);
    const bool more = !outcome.payload.empty() && index_at_ < files_.index_bytes;
    if (!more) index_at_ = files_.index_bytes;
    size_t at = 0;
    while (const std::optional<IndexBatch> batch = next_index_batch(index_rest_, more, result_.header.salt, &at)) {
        take_batch(*batch);
        last_batch_end_ = rest_at_ + at;
    }
    index_rest_.erase(0, at);
    rest_at_ += at;
    if (!more) result_.index_end = last_batch_end_;  // Behind it is room that was made, and nothing else.
    read_index(context);
}

void VolumeLoader::take_batch(const IndexBatch& batch) {
    uint64_t& covered = result_.covered_to;
    if (batch.covered_from > covered) gaps_.emplace_back(covered, batch.covered_from);
    covered = std::max(covered, batch.covered_to);
    for (const VolumeIndexEntry& entry : batch.entries) {
        result_.end = std::max(result_.end, entry.offset + record_bytes(entry.record.length));
        const auto in_gap = [&](const auto& gap) { return entry.offset >= gap.first && entry.offset < gap.second; };
        const bool uncovered = entry.offset >= covered || std::ranges::any_of(gaps_, in_gap);
        if (entry.kind == VolumeIndexEntry::Kind::kGone && uncovered) gone_.insert(entry.offset);
        sink_(entry, false);
    }
}

// --- The volume itself

void VolumeLoader::begin_scan(Context& context) {
    result_.end = std::max(result_.end, result_.covered_to);
    gaps_.emplace_back(result_.covered_to, files_.volume_bytes);
    gap_ = 0;
    at_ = gaps_.front().first;
    buffer_.clear();
    buffer_at_ = at_;
    read_failed_ = false;
    scan_on(context);
}

void VolumeLoader::scan_on(Context& context) {
    while (true) {
        while (at_ >= gaps_[gap_].second) {
            if (++gap_ == gaps_.size()) return end_load(context);
            at_ = std::max(at_, gaps_[gap_].first);
        }
        const bool here = at_ >= buffer_at_ && at_ - buffer_at_ < buffer_.size();
        const std::string_view bytes = here ? std::string_view(buffer_).substr(at_ - buffer_at_) : std::string_view();
        const bool at_end = buffer_at_ + buffer_.size() >= files_.volume_bytes;
        if (bytes.size() < kChunkRecordHeaderBytes) {
            if (here && at_end) {
                at_ = files_.volume_bytes;
                continue;
            }
            return read_for_scan(
                at_ < careful_to_ ? kSectorBytes - at_ % kSectorBytes + kChunkRecordHeaderBytes : kScanPieceBytes,
                false, context);
        }
        const std::optional<ChunkRecordHeader> header = decode_record_header(bytes, result_.header.salt, at_);
        const uint64_t needed = header ? record_bytes(header->length) : 0;
        if (header && at_ + needed <= files_.volume_bytes && at_ != unreadable_record_) {
            if (bytes.size() < needed) {
                return read_for_scan(at_ < careful_to_ ? needed : std::max(needed, kScanPieceBytes), true, context);
            }
            if (is_whole(*header, bytes.substr(0, record_head_bytes(header->length) + header->length))) {
                VolumeIndexEntry entry{VolumeIndexEntry::Kind::kStored, at_, *header};
                result_.records++;
                if (!gone_.contains(at_)) sink_(entry, true);
                at_ += needed;
                result_.end = std::max(result_.end, at_);
                continue;
            }
            result_.damaged++;
        }
        at_ += kRecordAlignment;
    }
}

void VolumeLoader::read_for_scan(uint64_t bytes, bool record, Context& context) {
    bytes = std::min(bytes, files_.volume_bytes - std::min(files_.volume_bytes, at_));
    DiskCall call;
    call.read(volume_file(files_.number), at_, bytes);
    disk_.ask_patiently(
        std::move(call), str_cat("read ", volume_file(files_.number)),
        [this, bytes, record](DiskOutcome& outcome, Context& now) { on_scanned(bytes, record, outcome, now); },
        context);
}

void VolumeLoader::on_scanned(uint64_t bytes, bool record, DiskOutcome& outcome, Context& context) {
    buffer_at_ = at_;
    if (outcome.ok()) {
        read_failed_ = false;
        buffer_ = outcome.payload.to_string();
        // It is shorter than it was, or cannot be read on: there is nothing more.
        if (buffer_.size() < bytes) files_.volume_bytes = at_ + buffer_.size();
        for (auto& [from, to] : gaps_) to = std::min(to, std::max(from, files_.volume_bytes));
        return scan_on(context);
    }
    buffer_.clear();
    if (is_unreadable(outcome.error()) && !std::exchange(read_failed_, true)) {
        return read_for_scan(bytes, record, context);
    }
    read_failed_ = false;
    if (record || at_ >= careful_to_) {  // Some of it may be readable.
        if (record) unreadable_record_ = at_;
        careful_to_ = std::max(careful_to_, at_ + bytes);
        return scan_on(context);
    }
    context.error(
        "part of a volume cannot be read",
        {{"file", volume_file(files_.number)}, {"offset", at_}, {"reason", outcome.status("read it").message()}});
    result_.unreadable = true;
    at_ = (at_ / kSectorBytes + 1) * kSectorBytes;
    if (++unreadable_sectors_ == kUnreadableSectorsMax) at_ = files_.volume_bytes;  // It is not worth the time.
    scan_on(context);
}

bool VolumeLoader::is_whole(const ChunkRecordHeader& header, std::string_view record) const {
    const DecodedHead decoded = decode_record_head(record, result_.header.salt, at_, header.key, header.length);
    if (decoded.problem != HeadProblem::kNone) return false;
    const std::string_view data = record.substr(record_head_bytes(header.length));
    for (size_t i = 0; i < decoded.head.block_crc32c.size(); i++) {
        if (crc32c(data.substr(i * kChunkBlockBytes, kChunkBlockBytes)) != decoded.head.block_crc32c[i]) return false;
    }
    return true;
}

// The owner may load the next volume at once.
void VolumeLoader::end_load(Context& context) {
    buffer_ = {};
    index_rest_ = {};
    gone_.clear();
    const Done done = std::move(done_);
    const Result result = std::move(result_);
    sink_ = nullptr;
    done(result, context);
}

}  // namespace sandstore
