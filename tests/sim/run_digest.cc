#include "tests/sim/run_digest.h"

#include <algorithm>

#include "messages/envelope.pb.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"
#include "tests/sim/sim_run.h"

namespace sandstore {

namespace {

RunDigest digest_of(const Schedule& schedule, uint64_t recorded_block = UINT64_MAX) {
    RunDigest digest;
    digest.record_block(recorded_block);
    SimRunOptions options;
    options.on_deliver = [&digest](uint64_t now_us, const std::string& id, const Message& message) {
        digest.add(now_us, id, message);
    };
    run_schedule(schedule, options);
    digest.finish();
    return digest;
}

}  // namespace

void RunDigest::add(uint64_t now_us, const std::string& node, const Message& message) {
    if (count_ / kBlock == recorded_block_) {
        recorded_.push_back(str_cat(now_us, " ", node, " ", message->ShortDebugString(), " payload of ",
                                    message.payload.size(), " bytes, crc ", crc32c(message.payload)));
    }
    buffer_ = str_cat(now_us, " ", node, " ");
    message->AppendToString(&buffer_);
    checksum_ = crc32c(message.payload, crc32c(buffer_, checksum_));
    if (++count_ % kBlock == 0) notes_.push_back(checksum_);
}

std::string first_difference(const Schedule& schedule) {
    const RunDigest one = digest_of(schedule);
    const RunDigest other = digest_of(schedule);
    const auto [a, b] =
        std::mismatch(one.notes().begin(), one.notes().end(), other.notes().begin(), other.notes().end());
    if (a == one.notes().end() && b == other.notes().end()) return "";
    const auto block = static_cast<uint64_t>(a - one.notes().begin());
    const RunDigest third = digest_of(schedule, block);
    const RunDigest fourth = digest_of(schedule, block);
    for (size_t i = 0; i < std::max(third.recorded().size(), fourth.recorded().size()); i++) {
        const std::string left = i < third.recorded().size() ? third.recorded()[i] : "nothing more";
        const std::string right = i < fourth.recorded().size() ? fourth.recorded()[i] : "nothing more";
        if (left != right) return str_cat("message ", block * RunDigest::kBlock + i, "\n  ", left, "\n  ", right);
    }
    return str_cat("two runs differed after message ", block * RunDigest::kBlock, ", two more did not");
}

}  // namespace sandstore
