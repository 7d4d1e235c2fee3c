// A running checksum over every message that a run delivers, noted after each thousand, so that two runs of one
// schedule can be compared, and the first difference found by recording one block of a third and fourth run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "tests/sim/schedule.h"

namespace sandstore {

class RunDigest {
 public:
    static constexpr uint64_t kBlock = 1000;  // Messages between two notes.

    void add(uint64_t now_us, const std::string& node, const Message& message);
    void finish() { notes_.push_back(checksum_); }
    const std::vector<uint32_t>& notes() const { return notes_; }
    uint32_t checksum() const { return checksum_; }

    // Keeps the text of each message of this block (counted from 0).
    void record_block(uint64_t block) { recorded_block_ = block; }
    const std::vector<std::string>& recorded() const { return recorded_; }

 private:
    uint64_t count_ = 0;
    uint32_t checksum_ = 0;
    std::vector<uint32_t> notes_;
    uint64_t recorded_block_ = UINT64_MAX;
    std::vector<std::string> recorded_;
    std::string buffer_;
};

// Runs the schedule twice. Empty when both delivered the same messages at the same times; else the first that differs.
std::string first_difference(const Schedule& schedule);

}  // namespace sandstore
