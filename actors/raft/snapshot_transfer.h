// One snapshot on its way to one peer: which bytes to send next. The peer says how far it is, so that a broken
// connection or a restarted receiver costs only what was on the way. Nothing is sent of a file that was not verified.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "messages/snapshot.pb.h"
#include "runtime/payload.h"

namespace sandstore {

class SnapshotTransfer {
 public:
    static constexpr uint64_t kPiecesInFlight = 4;  // Read or sent, and not acknowledged.
    // For a peer that has taken nothing for so long, neither the log nor a snapshot that is due waits.
    static constexpr uint64_t kPatienceUs = 60'000'000;

    struct Piece {
        uint64_t offset;
        uint64_t length;
    };

    SnapshotTransfer(pb::SnapshotMeta meta, uint64_t piece_bytes, uint64_t now_us)
        : meta_(std::move(meta)), piece_bytes_(piece_bytes), moved_at_us_(now_us), progress_at_us_(now_us) {}

    const pb::SnapshotMeta& meta() const { return meta_; }
    uint64_t acknowledged_bytes() const { return acknowledged_; }

    // The file was read back and is right: the peer may be asked how far it is.
    void set_verified(uint64_t now_us) {
        verified_ = true;
        moved_at_us_ = progress_at_us_ = now_us;
    }
    bool verified() const { return verified_; }
    // Forgets what is on the way; the peer is to be asked how far it is.
    void begin_again(uint64_t now_us) {
        asking_ = true;
        progress_at_us_ = now_us;
    }
    // The peer has everything below next_offset.
    void on_reply(uint64_t next_offset, uint64_t now_us) {
        next_offset = std::min(next_offset, meta_.file_bytes());
        const bool lost_some = next_offset < acknowledged_;
        if (next_offset > acknowledged_) moved_at_us_ = now_us;
        if (next_offset > acknowledged_ || asking_) progress_at_us_ = now_us;
        if (asking_ || lost_some) {
            to_read_ = to_send_ = next_offset;
            read_.clear();
        }
        acknowledged_ = next_offset;
        to_read_ = std::max(to_read_, acknowledged_);
        to_send_ = std::max(to_send_, acknowledged_);
        asking_ = false;
    }
    // The next bytes to read, if there is room for them on the way.
    std::optional<Piece> next_read() {
        if (asking_ || to_read_ >= meta_.file_bytes()) return std::nullopt;
        if (to_read_ - acknowledged_ >= kPiecesInFlight * piece_bytes_) return std::nullopt;
        const Piece piece{to_read_, std::min(piece_bytes_, meta_.file_bytes() - to_read_)};
        to_read_ += piece.length;
        return piece;
    }
    // What was read, in any order.
    void add_read(uint64_t offset, Payload bytes) {
        if (!asking_ && offset >= to_send_ && offset < to_read_) read_[offset] = std::move(bytes);
    }
    // What may be sent, in the file's order: the peer takes no other.
    std::optional<std::pair<uint64_t, Payload>> next_to_send() {
        if (read_.empty() || read_.begin()->first != to_send_) return std::nullopt;
        std::pair<uint64_t, Payload> piece(to_send_, std::move(read_.begin()->second));
        read_.erase(read_.begin());
        to_send_ += piece.second.size();
        return piece;
    }
    bool is_stalled(uint64_t now_us, uint64_t patience_us) const {
        return verified_ && now_us - progress_at_us_ >= patience_us;
    }
    bool is_moving(uint64_t now_us) const { return !verified_ || now_us - moved_at_us_ < kPatienceUs; }

 private:
    pb::SnapshotMeta meta_;
    uint64_t piece_bytes_;
    uint64_t acknowledged_ = 0;
    uint64_t to_read_ = 0;
    uint64_t to_send_ = 0;
    std::map<uint64_t, Payload> read_;  // By offset, not sent yet.
    bool verified_ = false;
    bool asking_ = true;
    uint64_t moved_at_us_;  // When the peer last said that it has more than before.
    uint64_t progress_at_us_;
};

// When a peer may be sent a snapshot again, after transfers that failed: each time it waits twice as long.
class TransferBackoff {
 public:
    static constexpr uint64_t kFirstUs = 250'000;
    static constexpr uint64_t kLongestUs = 60'000'000;

    // For how long.
    uint64_t failed(uint64_t now_us) {
        wait_us_ = wait_us_ == 0 ? kFirstUs : std::min(wait_us_ * 2, kLongestUs);
        until_us_ = now_us + wait_us_;
        return wait_us_;
    }
    bool is_over(uint64_t now_us) const { return now_us >= until_us_; }

 private:
    uint64_t wait_us_ = 0;
    uint64_t until_us_ = 0;
};

}  // namespace sandstore
