// Client sessions: every mutation at most once, and a retry is answered.
#include "actors/state/sessions.h"

#include <gtest/gtest.h>

namespace sandstore {
namespace {

using Admission = Sessions::Admission;

class SessionsTest : public testing::Test {
 protected:
    SessionsTest() { sessions_.configure(1000, 3); }
    ~SessionsTest() override { EXPECT_EQ(sessions_.hash(), sessions_.walk_hash()); }

    Admission admit(uint64_t session, uint64_t sequence, uint64_t oldest_needed = 0) {
        stored_.clear();
        return sessions_.admit(session, sequence, oldest_needed, clock_us_, &stored_);
    }
    void apply(uint64_t session, uint64_t sequence, const std::string& result, uint64_t oldest_needed = 0) {
        ASSERT_EQ(admit(session, sequence, oldest_needed), Admission::kNew);
        sessions_.remember(session, sequence, result);
    }

    Sessions sessions_;
    uint64_t clock_us_ = 10'000;
    std::string stored_;
};

TEST_F(SessionsTest, a_duplicate_gets_the_stored_result) {
    sessions_.open(1, clock_us_);
    apply(1, 1, "one");
    apply(1, 2, "two");
    EXPECT_EQ(admit(1, 1), Admission::kDuplicate);
    EXPECT_EQ(stored_, "one");
    EXPECT_EQ(admit(1, 2), Admission::kDuplicate);
    EXPECT_EQ(stored_, "two");
}

TEST_F(SessionsTest, sequences_may_arrive_out_of_order) {
    sessions_.open(1, clock_us_);
    apply(1, 5, "five");
    apply(1, 3, "three");
    EXPECT_EQ(admit(1, 5), Admission::kDuplicate);
    EXPECT_EQ(admit(1, 4), Admission::kNew);
}

TEST_F(SessionsTest, what_the_client_has_is_forgotten_and_never_applied_again) {
    sessions_.open(1, clock_us_);
    apply(1, 1, "one");
    apply(1, 2, "two");
    apply(1, 4, "four", 4);
    EXPECT_EQ(sessions_.results_of(1), 1u);
    EXPECT_EQ(admit(1, 1), Admission::kForgotten);
    EXPECT_EQ(admit(1, 3), Admission::kForgotten) << "given up by the client before it arrived";
    EXPECT_EQ(admit(1, 4), Admission::kDuplicate);
}

TEST_F(SessionsTest, an_older_oldest_needed_brings_nothing_back) {
    sessions_.open(1, clock_us_);
    apply(1, 10, "ten", 10);
    EXPECT_EQ(admit(1, 9, 1), Admission::kForgotten);
}

TEST_F(SessionsTest, results_of_a_session_are_bounded) {
    sessions_.open(1, clock_us_);
    for (uint64_t sequence = 1; sequence <= kSessionResultsMax + 5; ++sequence) apply(1, sequence, "x");
    EXPECT_EQ(sessions_.results_of(1), kSessionResultsMax);
    EXPECT_EQ(admit(1, 5), Admission::kForgotten);
    EXPECT_EQ(admit(1, 6), Admission::kDuplicate);
}

TEST_F(SessionsTest, unknown_and_closed_sessions_are_unknown) {
    EXPECT_EQ(admit(1, 1), Admission::kUnknown);
    sessions_.open(1, clock_us_);
    EXPECT_TRUE(sessions_.close(1, clock_us_));
    EXPECT_EQ(admit(1, 1), Admission::kUnknown);
    EXPECT_FALSE(sessions_.close(1, clock_us_));
}

TEST_F(SessionsTest, a_session_expires_by_the_clock_it_is_given) {
    sessions_.open(1, clock_us_);
    clock_us_ += 1000;
    EXPECT_EQ(admit(1, 1), Admission::kNew) << "still in time, and active again";
    clock_us_ += 1000;
    EXPECT_EQ(admit(1, 1), Admission::kNew);
    clock_us_ += 1001;
    EXPECT_EQ(admit(1, 1), Admission::kUnknown) << "also before expire() has dropped it";
    EXPECT_FALSE(sessions_.close(1, clock_us_));
}

TEST_F(SessionsTest, expired_sessions_are_dropped_a_few_at_a_time) {
    for (uint64_t id = 1; id <= 3; ++id) sessions_.open(id, clock_us_);
    sessions_.expire(clock_us_ + 1000, 10);
    EXPECT_EQ(sessions_.size(), 3u);
    sessions_.expire(clock_us_ + 1001, 2);
    EXPECT_EQ(sessions_.size(), 1u);
    sessions_.expire(clock_us_ + 1001, 2);
    EXPECT_EQ(sessions_.size(), 0u);
}

TEST_F(SessionsTest, the_least_recently_active_makes_room) {
    for (uint64_t id = 1; id <= 3; ++id) sessions_.open(id, clock_us_++);
    EXPECT_EQ(admit(1, 1), Admission::kNew);
    sessions_.open(4, clock_us_);
    EXPECT_EQ(sessions_.size(), 3u);
    EXPECT_EQ(admit(2, 1), Admission::kUnknown);
    EXPECT_EQ(admit(1, 1), Admission::kNew);
    EXPECT_EQ(admit(3, 1), Admission::kNew);
}

TEST_F(SessionsTest, of_equally_active_sessions_the_oldest_goes) {
    for (uint64_t id : {7, 5, 6}) sessions_.open(id, clock_us_);
    sessions_.open(8, clock_us_);
    EXPECT_EQ(admit(5, 1), Admission::kUnknown);
    EXPECT_EQ(admit(6, 1), Admission::kNew);
}

TEST_F(SessionsTest, the_hash_tells_states_apart) {
    sessions_.open(1, clock_us_);
    const uint64_t open = sessions_.hash();
    apply(1, 1, "one");
    const uint64_t one = sessions_.hash();
    EXPECT_NE(one, open);
    apply(1, 2, "two", 2);
    EXPECT_NE(sessions_.hash(), one);
    sessions_.close(1, clock_us_);
    EXPECT_EQ(sessions_.hash(), Sessions().hash());
}

}  // namespace
}  // namespace sandstore
