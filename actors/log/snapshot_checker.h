// Reads a snapshot's file from front to back, in pieces of any size, and says whether every byte of it is as it was
// written. Holds one small header at a time, never a section.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "actors/log/snapshot_format.h"

namespace sandstore {

class SnapshotChecker {
 public:
    // kForeign: of another cluster.
    enum class Verdict { kMore, kWhole, kDamaged, kUnknownVersion, kForeign };

    // `file_bytes`: how long the whole file is.
    SnapshotChecker(std::string cluster_id, uint64_t file_bytes);

    // The next bytes. Anything but kMore is final.
    Verdict feed(const Payload& bytes);

    const pb::SnapshotMeta& meta() const { return meta_; }     // Size and checksum only when whole.
    uint64_t header_bytes() const { return header_bytes_; }    // Where the first section begins.
    uint64_t checked_bytes() const { return checked_bytes_; }  // The header and the sections that are whole and right.
    uint64_t fed_bytes() const { return position_; }
    const std::string& problem() const { return problem_; }  // Unless kMore or kWhole.

 private:
    enum class Phase { kHeaderStart, kHeader, kSectionHeader, kSectionData, kTrailer, kEnd };

    Verdict take(std::string_view bytes);
    Verdict parse();
    Verdict parse_header();
    Verdict parse_section_header();
    Verdict parse_trailer();
    Verdict end_section();
    Verdict begin_section_or_trailer();
    void expect(Phase phase, size_t bytes);
    Verdict fail(Verdict verdict, std::string problem);

    const std::string cluster_id_;
    const uint64_t file_bytes_;
    Verdict verdict_ = Verdict::kMore;
    Phase phase_ = Phase::kHeaderStart;
    std::string buffer_;                           // What there is of the header, section header or trailer,
    size_t expected_ = kSnapshotHeaderStartBytes;  // and how long it is.
    SectionHeader section_;
    uint32_t section_crc_ = 0;
    uint64_t section_left_ = 0;
    uint64_t section_count_ = 0;
    uint64_t position_ = 0;  // In the file, of the next byte.
    uint64_t header_bytes_ = 0;
    uint64_t checked_bytes_ = 0;
    uint32_t file_crc_ = 0;
    pb::SnapshotMeta meta_;
    std::string problem_;
};

}  // namespace sandstore
