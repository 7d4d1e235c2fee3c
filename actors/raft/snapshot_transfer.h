// One snapshot on its way to one peer: which bytes to send next. The peer says how far it is, so that a broken
// connection or a restarted receiver costs only what was on the way.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "messages/snapshot.pb.h"

namespace sandstore {

class SnapshotTransfer {
 public:
    static constexpr uint64_t kPiecesInFlight = 4;  // Read or sent, and not acknowledged.

    struct Piece {
        uint64_t offset;
        uint64_t length;
    };

    SnapshotTransfer(pb::SnapshotMeta meta, uint64_t piece_bytes, uint64_t now_us)
        : meta_(std::move(meta)), piece_bytes_(piece_bytes), progress_at_us_(now_us) {}

    const pb::SnapshotMeta& meta() const { return meta_; }
    uint64_t acknowledged_bytes() const { return acknowledged_; }

    // Forgets what is on the way; the peer is to be asked how far it is.
    void begin_again(uint64_t now_us) {
        asking_ = true;
        progress_at_us_ = now_us;
    }
    // The peer has everything below next_offset.
    void on_reply(uint64_t next_offset, uint64_t now_us) {
        next_offset = std::min(next_offset, meta_.file_bytes());
        const bool lost_some = next_offset < acknowledged_;
        if (next_offset > acknowledged_ || asking_) progress_at_us_ = now_us;
        if (asking_ || lost_some) sent_ = next_offset;
        acknowledged_ = next_offset;
        sent_ = std::max(sent_, acknowledged_);
        asking_ = false;
    }
    // The next bytes to read and send, if there is room for them on the way.
    std::optional<Piece> next() {
        if (asking_ || sent_ >= meta_.file_bytes()) return std::nullopt;
        if (sent_ - acknowledged_ >= kPiecesInFlight * piece_bytes_) return std::nullopt;
        const Piece piece{sent_, std::min(piece_bytes_, meta_.file_bytes() - sent_)};
        sent_ += piece.length;
        return piece;
    }
    bool is_stalled(uint64_t now_us, uint64_t patience_us) const { return now_us - progress_at_us_ >= patience_us; }

 private:
    pb::SnapshotMeta meta_;
    uint64_t piece_bytes_;
    uint64_t acknowledged_ = 0;
    uint64_t sent_ = 0;
    bool asking_ = true;
    uint64_t progress_at_us_;
};

}  // namespace sandstore
