#include "actors/log/snapshot_checker.h"

#include <algorithm>

#include "actors/log/little_endian.h"
#include "runtime/crc32c.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

SnapshotChecker::SnapshotChecker(std::string cluster_id, uint64_t file_bytes)
    : cluster_id_(std::move(cluster_id)), file_bytes_(file_bytes) {
    if (file_bytes_ < kSnapshotHeaderStartBytes + kSnapshotTrailerBytes) fail(Verdict::kDamaged, "it is too short");
}

SnapshotChecker::Verdict SnapshotChecker::feed(const Payload& bytes) {
    for (const Payload::Piece& piece : bytes.pieces()) {
        if (verdict_ == Verdict::kWhole) return fail(Verdict::kDamaged, "it is too long");
        if (verdict_ != Verdict::kMore) return verdict_;
        const uint64_t crc_end = file_bytes_ - sizeof(uint32_t);
        if (position_ < crc_end) file_crc_ = crc32c(piece.bytes.substr(0, crc_end - position_), file_crc_);
        verdict_ = take(piece.bytes);
    }
    return verdict_;
}

SnapshotChecker::Verdict SnapshotChecker::take(std::string_view bytes) {
    while (!bytes.empty()) {
        if (phase_ == Phase::kEnd) return fail(Verdict::kDamaged, "it is too long");
        const uint64_t wanted = phase_ == Phase::kSectionData ? section_left_ : expected_ - buffer_.size();
        const std::string_view part = bytes.substr(0, wanted);
        bytes.remove_prefix(part.size());
        position_ += part.size();
        Verdict verdict = Verdict::kMore;
        if (phase_ == Phase::kSectionData) {
            section_crc_ = crc32c(part, section_crc_);
            section_left_ -= part.size();
            if (section_left_ == 0) verdict = end_section();
        } else {
            buffer_.append(part);
            if (buffer_.size() == expected_) verdict = parse();
        }
        if (verdict == Verdict::kWhole && bytes.empty()) return verdict;
        if (verdict != Verdict::kMore && verdict != Verdict::kWhole) return verdict;
    }
    return Verdict::kMore;
}

SnapshotChecker::Verdict SnapshotChecker::parse() {
    switch (phase_) {
        case Phase::kHeaderStart: {
            const std::optional<size_t> length = snapshot_header_bytes(buffer_);
            if (!length) return fail(Verdict::kDamaged, "it does not begin with a snapshot's header");
            phase_ = Phase::kHeader;
            expected_ = *length;
            return buffer_.size() == expected_ ? parse_header() : Verdict::kMore;
        }
        case Phase::kHeader:
            return parse_header();
        case Phase::kSectionHeader:
            return parse_section_header();
        default:
            return parse_trailer();
    }
}

SnapshotChecker::Verdict SnapshotChecker::parse_header() {
    std::string cluster_id;
    uint32_t version = 0;
    switch (decode_snapshot_header(buffer_, &cluster_id, &meta_, &version)) {
        case SnapshotHeaderCheck::kValid:
            break;
        case SnapshotHeaderCheck::kDamaged:
            return fail(Verdict::kDamaged, "its header is damaged");
        case SnapshotHeaderCheck::kUnknownVersion:
            return fail(Verdict::kUnknownVersion,
                        str_cat("it has format version ", version, ", and this program reads version ",
                                kSnapshotFormatVersion, ": run the version of sandstore that wrote it"));
    }
    if (cluster_id != cluster_id_) {
        return fail(Verdict::kForeign,
                    str_cat("it belongs to cluster ", cluster_id, ", and this is cluster ", cluster_id_));
    }
    header_bytes_ = checked_bytes_ = position_;
    return begin_section_or_trailer();
}

SnapshotChecker::Verdict SnapshotChecker::begin_section_or_trailer() {
    const uint64_t trailer_at = file_bytes_ - kSnapshotTrailerBytes;
    if (position_ == trailer_at) {
        expect(Phase::kTrailer, kSnapshotTrailerBytes);
    } else if (position_ + kSectionHeaderBytes > trailer_at) {
        return fail(Verdict::kDamaged, str_cat("there is no section at offset ", position_));
    } else {
        expect(Phase::kSectionHeader, kSectionHeaderBytes);
    }
    return Verdict::kMore;
}

SnapshotChecker::Verdict SnapshotChecker::parse_section_header() {
    const std::optional<SectionHeader> header = decode_section_header(buffer_);
    if (!header || position_ + header->data_bytes > file_bytes_ - kSnapshotTrailerBytes) {
        return fail(Verdict::kDamaged, str_cat("the header of section ", section_count_, " is damaged"));
    }
    section_ = *header;
    section_crc_ = 0;
    section_left_ = header->data_bytes;
    expect(Phase::kSectionData, 0);
    return section_left_ == 0 ? end_section() : Verdict::kMore;
}

SnapshotChecker::Verdict SnapshotChecker::end_section() {
    if (section_crc_ != section_.data_crc && !planted("snapshot-checksum-ignored")) {
        return fail(Verdict::kDamaged, str_cat("the checksum of section ", section_count_, " is wrong"));
    }
    section_count_++;
    checked_bytes_ = position_;
    return begin_section_or_trailer();
}

SnapshotChecker::Verdict SnapshotChecker::parse_trailer() {
    const std::optional<SnapshotTrailer> trailer = decode_snapshot_trailer(buffer_);
    if (!trailer || trailer->file_bytes != file_bytes_ || trailer->section_count != section_count_) {
        return fail(Verdict::kDamaged, "its trailer is damaged");
    }
    const auto checksum = get_integer<uint32_t>(buffer_.data() + kSnapshotTrailerBytes - sizeof(uint32_t));
    if (checksum != file_crc_ && !planted("snapshot-checksum-ignored")) {
        return fail(Verdict::kDamaged, "the checksum of the whole is wrong");
    }
    meta_.set_file_bytes(file_bytes_);
    meta_.set_checksum(checksum);
    checked_bytes_ = position_;
    expect(Phase::kEnd, 0);
    return Verdict::kWhole;
}

void SnapshotChecker::expect(Phase phase, size_t bytes) {
    phase_ = phase;
    expected_ = bytes;
    buffer_.clear();
}

SnapshotChecker::Verdict SnapshotChecker::fail(Verdict verdict, std::string problem) {
    verdict_ = verdict;
    problem_ = std::move(problem);
    return verdict;
}

}  // namespace sandstore
