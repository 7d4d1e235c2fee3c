#include "actors/log/spare_maker.h"

#include <algorithm>
#include <utility>

#include "actors/log/disk_reserve.h"
#include "runtime/check.h"

namespace sandstore {

namespace {
constexpr uint64_t kStepBytes = uint64_t{256} << 10;
constexpr uint64_t kUrgentStepBytes = uint64_t{4} << 20;
}  // namespace

SpareMaker::SpareMaker() : zeros_(std::string(kStepBytes, '\0')) {}

void SpareMaker::begin(SpareSegment spare, uint64_t disk_reserve_bytes) {
    SANDSTORE_CHECK(!busy() && spare.size_bytes > 0, "making=", spare_.file, " wanted=", spare.file);
    spare_ = std::move(spare);
    made_bytes_ = 0;
    disk_reserve_bytes_ = disk_reserve_bytes;
    asks_space_ = disk_reserve_bytes > 0;
}

std::string SpareMaker::abandon() {
    SANDSTORE_CHECK(busy());
    return std::exchange(spare_, {}).file;
}

DiskCall SpareMaker::next_step(bool urgent) {
    SANDSTORE_CHECK(busy());
    if (urgent) asks_space_ = false;
    if (asks_space_) {
        DiskCall call;
        call.request.add_operations()->mutable_space();
        return call;
    }
    step_bytes_ = std::min(urgent ? kUrgentStepBytes : kStepBytes, spare_.size_bytes - made_bytes_);
    DiskCall call;
    if (made_bytes_ == 0) {
        call.create_zeroed(spare_.file, step_bytes_);
    } else {
        call.write(spare_.file, made_bytes_, zeros(step_bytes_));
        call.sync(spare_.file);
    }
    return call;
}

SpareMaker::Progress SpareMaker::on_reply(const pb::DiskReply& reply, SpareSegment* done) {
    if (asks_space_ && reply.error() == 0) {
        const uint64_t left_free = disk_reserve(disk_reserve_bytes_, reply.total_bytes()) / 2;
        if (reply.free_bytes() < spare_.size_bytes + left_free) {
            return Progress::kOutOfSpace;
        }
        asks_space_ = false;
        return Progress::kMore;
    }
    if (reply.error() != 0) {
        if (!is_out_of_space(reply)) return Progress::kFailed;
        // Nothing depends on the content yet, so even a failed sync may be tried again, from the start.
        if (reply.sync_failed()) made_bytes_ = 0;
        return Progress::kOutOfSpace;
    }
    made_bytes_ += step_bytes_;
    if (made_bytes_ < spare_.size_bytes) return Progress::kMore;
    *done = std::move(spare_);
    spare_ = {};
    return Progress::kDone;
}

Payload SpareMaker::zeros(uint64_t length) const {
    Payload bytes;
    while (bytes.size() < length) bytes.append(zeros_.slice(0, length - bytes.size()));
    return bytes;
}

}  // namespace sandstore
