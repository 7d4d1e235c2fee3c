#include "actors/log/write_group.h"

#include <algorithm>

#include "actors/log/segment_format.h"
#include "runtime/crc32c.h"

namespace sandstore {

size_t PendingWrite::block_bytes_max() const {
    return round_up(kBlockHeaderBytes + kIdBytesMax + kRestartBytes + records.size(), kBlockAlignment);
}

void WriteGroup::add(PendingWrite write) {
    if (write.hard_state) hard_state_ = std::move(write.hard_state);
    if (write.restart) {
        restart_ = std::move(write.restart);
        first_index_ = 0;
        headers_.clear();
        records_ = {};
    }
    if (write.first_index != 0) {
        if (first_index_ == 0 || write.first_index < first_index_) first_index_ = write.first_index;
        size_t kept_bytes = records_.size();
        while (!headers_.empty() && headers_.back().index >= write.first_index) {
            kept_bytes -= headers_.back().encoded_bytes();
            headers_.pop_back();
        }
        if (kept_bytes != records_.size()) records_ = records_.slice(0, kept_bytes);
        headers_.insert(headers_.end(), write.headers.begin(), write.headers.end());
        records_.append(std::move(write.records));
    }
    auto known = std::find_if(waiters_.begin(), waiters_.end(),
                              [&](const Waiter& waiter) { return waiter.sender == write.sender; });
    if (known == waiters_.end()) {
        waiters_.push_back({std::move(write.sender), write.write_id});
    } else {
        known->write_id = write.write_id;
    }
}

Payload WriteGroup::encode(uint64_t sequence, uint32_t salt) const {
    std::string start = hard_state_ ? hard_state_->voted_for() : std::string();
    const size_t vote_bytes = start.size();
    if (restart_) append_restart(&start, *restart_);
    BlockHeader header;
    header.sequence = sequence;
    header.salt = salt;
    header.body_bytes = static_cast<uint32_t>(start.size() + records_.size());
    header.body_crc = crc32c(records_, crc32c(start));
    header.record_count = static_cast<uint32_t>(headers_.size());
    header.first_index = first_index_;
    header.has_hard_state = hard_state_.has_value();
    header.hard_state_term = hard_state_ ? hard_state_->term() : 0;
    header.has_restart = restart_.has_value();
    header.vote_bytes = static_cast<uint16_t>(vote_bytes);

    Payload block(encode_block_header(header) + start);
    block.append(records_);
    static constexpr char kZeros[kBlockAlignment] = {};
    block.append(Payload::view_of(nullptr, {kZeros, header.block_bytes() - block.size()}));
    return block;
}

size_t WriteGroup::records_offset() const {
    return kBlockHeaderBytes + (hard_state_ ? hard_state_->voted_for().size() : 0) + (restart_ ? kRestartBytes : 0);
}

}  // namespace sandstore
