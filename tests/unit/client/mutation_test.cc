// Mutations, queries and status through the client's actor: leaders, retries, sessions, deadlines.
#include "tests/unit/client/client_kit.h"

namespace sandstore {
namespace {

TEST(ClientActor, a_session_is_opened_on_first_need_and_used_for_all) {
    auto kit = client_kit();
    const uint64_t first = kit->request(make_directory("/a"), kProgram);
    const uint64_t second = kit->request(make_directory("/b"), kProgram);
    EXPECT_EQ(kit->count(pb::Envelope::kMutation), 1u);
    open_session(*kit, 77);
    const Message one = kit->take(pb::Envelope::kMutation);
    const Message two = kit->take(pb::Envelope::kMutation);
    EXPECT_EQ(one->to_node(), "@a:1");
    EXPECT_EQ(one->to_actor(), pb::ACTOR_FILES);
    EXPECT_EQ(one->mutation().session_id(), 77u);
    EXPECT_EQ(one->mutation().sequence(), 1u);
    EXPECT_EQ(one->mutation().uid(), 1000u);
    EXPECT_EQ(one->mutation().gid(), 1001u);
    EXPECT_EQ(two->mutation().sequence(), 2u);
    kit->answer(two, mutation_result(pb::STATUS_EEXIST));
    EXPECT_EQ(kit->take_answer(second)->mutation_result().status().code(), pb::STATUS_EEXIST);
    kit->answer(one, mutation_result());
    EXPECT_EQ(kit->take_answer(first)->mutation_result().status().code(), pb::STATUS_OK);
    kit->expect_nothing();
}

TEST(ClientActor, oldest_needed_advances_as_results_arrive) {
    auto kit = client_kit();
    kit->request(make_directory("/a"), kProgram);
    open_session(*kit, 5);
    const Message one = kit->take(pb::Envelope::kMutation);
    EXPECT_EQ(one->mutation().oldest_needed(), 1u);
    kit->request(make_directory("/b"), kProgram);
    const Message two = kit->take(pb::Envelope::kMutation);
    EXPECT_EQ(two->mutation().oldest_needed(), 1u);
    kit->answer(two, mutation_result());
    kit->request(make_directory("/c"), kProgram);
    const Message three = kit->take(pb::Envelope::kMutation);
    EXPECT_EQ(three->mutation().oldest_needed(), 1u);  // One is still under way.
    kit->answer(one, mutation_result());
    kit->request(make_directory("/d"), kProgram);
    EXPECT_EQ(kit->take(pb::Envelope::kMutation)->mutation().oldest_needed(), 3u);
}

TEST(ClientActor, a_redirect_is_followed_at_once_and_the_leader_remembered) {
    auto kit = client_kit({"a:1"});
    const uint64_t query = kit->request(stat_query("/"), kProgram);
    kit->answer(kit->take_to(pb::Envelope::kQuery, "@a:1"), query_result(pb::STATUS_NOT_LEADER, "b:2"));
    kit->answer(kit->take_to(pb::Envelope::kQuery, "@b:2"), query_result());
    EXPECT_EQ(kit->take_answer(query)->query_result().status().code(), pb::STATUS_OK);
    kit->request(stat_query("/"), kProgram);
    kit->take_to(pb::Envelope::kQuery, "@b:2");
    EXPECT_EQ(kit->timers(), 0u);
}

TEST(ClientActor, two_servers_that_point_at_each_other_are_not_asked_in_a_tight_loop) {
    auto kit = client_kit({"a:1", "b:1"});
    const uint64_t query = kit->request(stat_query("/"), kProgram, 5 * kSecond);
    size_t asked = 0;
    while (kit->now_us() < 2 * kSecond) {
        while (auto sent = kit->try_take(pb::Envelope::kQuery)) {
            ++asked;
            kit->answer(*sent,
                        query_result(pb::STATUS_NOT_LEADER, sent->envelope().to_node() == "@a:1" ? "b:1" : "a:1"));
        }
        ASSERT_TRUE(kit->fire_next_timer());
    }
    EXPECT_GT(asked, 10u);
    EXPECT_LT(asked, 80u);
    EXPECT_EQ(answers(*kit, query), 0u);
}

TEST(ClientActor, without_a_leader_the_servers_are_tried_in_turn_until_the_deadline) {
    auto kit = client_kit({"a:1", "b:1", "c:1"});
    const uint64_t deadline_us = kit->now_us() + 2 * kSecond;
    const uint64_t query = kit->request(stat_query("/"), kProgram, 2 * kSecond);
    std::map<std::string, int> asked;
    while (answers(*kit, query) == 0) {
        while (auto sent = kit->try_take(pb::Envelope::kQuery)) {
            ++asked[(*sent)->to_node()];
            kit->answer(*sent, query_result(pb::STATUS_NOT_LEADER));
        }
        ASSERT_TRUE(answers(*kit, query) == 1 || kit->fire_next_timer());
    }
    EXPECT_LT(kit->now_us(), deadline_us);
    EXPECT_GT(kit->now_us(), deadline_us - 300'000);
    EXPECT_EQ(asked.size(), 3u);
    EXPECT_EQ(kit->take_answer(query)->query_result().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
}

TEST(ClientActor, a_retry_after_a_lost_reply_repeats_session_and_sequence) {
    auto kit = client_kit({"a:1", "b:1"});
    const uint64_t request = kit->request(make_directory("/a"), kProgram, 10 * kSecond);
    open_session(*kit, 9);
    const Message first = kit->take(pb::Envelope::kMutation);
    EXPECT_LE(first->deadline_us() - kit->now_us(), 1 * kSecond);  // The attempt's own, not the request's.
    kit->fail(first, pb::STATUS_DEADLINE_EXCEEDED);
    ASSERT_TRUE(kit->fire_next_timer());
    const Message second = kit->take(pb::Envelope::kMutation);
    EXPECT_NE(second->to_node(), first->to_node());
    EXPECT_EQ(second->mutation().session_id(), 9u);
    EXPECT_EQ(second->mutation().sequence(), first->mutation().sequence());
    kit->answer(second, mutation_result());
    EXPECT_EQ(kit->take_answer(request)->mutation_result().status().code(), pb::STATUS_OK);
}

TEST(ClientActor, an_expired_session_is_renewed_when_nothing_can_have_been_applied) {
    auto kit = client_kit({"a:1"});
    const uint64_t request = kit->request(make_directory("/a"), kProgram, 10 * kSecond);
    open_session(*kit, 9);
    Message attempt = kit->take(pb::Envelope::kMutation);
    kit->answer(attempt, mutation_result(pb::STATUS_NOT_LEADER, "b:1"));  // Refused: no effect.
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_SESSION_EXPIRED));
    open_session(*kit, 10);
    attempt = kit->take(pb::Envelope::kMutation);
    EXPECT_EQ(attempt->mutation().session_id(), 10u);
    EXPECT_EQ(attempt->mutation().sequence(), 1u);
    kit->answer(attempt, mutation_result());
    EXPECT_EQ(kit->take_answer(request)->mutation_result().status().code(), pb::STATUS_OK);
}

TEST(ClientActor, an_expired_session_after_an_unanswered_attempt_is_an_unknown_outcome) {
    auto kit = client_kit({"a:1"});
    const uint64_t request = kit->request(make_directory("/a"), kProgram, 10 * kSecond);
    open_session(*kit, 9);
    kit->fail(kit->take(pb::Envelope::kMutation), pb::STATUS_UNAVAILABLE);
    ASSERT_TRUE(kit->fire_next_timer());
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_SESSION_EXPIRED));
    const Message answer = kit->take_answer(request);
    EXPECT_EQ(answer->mutation_result().status().code(), pb::STATUS_UNAVAILABLE);
    EXPECT_NE(answer->mutation_result().status().message().find("unknown"), std::string::npos);
    kit->expect_nothing();
    kit->request(make_directory("/b"), kProgram, 10 * kSecond);  // The next one gets a new session.
    open_session(*kit, 10);
}

TEST(ClientActor, a_session_that_always_expires_is_not_renewed_for_ever) {
    auto kit = client_kit({"a:1"});
    const uint64_t request = kit->request(make_directory("/a"), kProgram, 10 * kSecond);
    for (uint64_t id = 1; answers(*kit, request) == 0 && id < 20; ++id) {
        open_session(*kit, id);
        kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_SESSION_EXPIRED));
    }
    EXPECT_EQ(kit->take_answer(request)->mutation_result().status().code(), pb::STATUS_SESSION_EXPIRED);
}

TEST(ClientActor, a_mutation_out_of_time_says_whether_it_may_have_happened) {
    auto kit = client_kit({"a:1"});
    const uint64_t unanswered = kit->request(make_directory("/a"), kProgram, 500'000);
    open_session(*kit, 9);
    kit->advance(480'000);
    kit->fail(kit->take(pb::Envelope::kMutation), pb::STATUS_DEADLINE_EXCEEDED);
    ASSERT_TRUE(kit->fire_next_timer());
    const Message unknown = kit->take_answer(unanswered);
    EXPECT_EQ(unknown->mutation_result().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_NE(unknown->mutation_result().status().message().find("outcome is unknown"), std::string::npos);

    const uint64_t refused = kit->request(make_directory("/a"), kProgram, 500'000);
    while (answers(*kit, refused) == 0) {
        while (auto sent = kit->try_take(pb::Envelope::kMutation)) {
            kit->answer(*sent, mutation_result(pb::STATUS_NOT_LEADER));
        }
        ASSERT_TRUE(answers(*kit, refused) == 1 || kit->fire_next_timer());
    }
    const Message nothing = kit->take_answer(refused);
    EXPECT_EQ(nothing->mutation_result().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_NE(nothing->mutation_result().status().message().find("nothing was changed"), std::string::npos);
}

TEST(ClientActor, without_a_session_in_time_the_mutation_ends_before_its_deadline) {
    auto kit = client_kit({"a:1"});
    const uint64_t deadline_us = kit->now_us() + 300'000;
    const uint64_t request = kit->request(make_directory("/a"), kProgram, 300'000);
    kit->take(pb::Envelope::kMutation);  // The OpenSession, never answered.
    kit->advance(299'999);
    EXPECT_LT(kit->now_us(), deadline_us);
    EXPECT_EQ(kit->take_answer(request)->mutation_result().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
}

TEST(ClientActor, a_session_that_cannot_be_opened_fails_those_who_wait) {
    auto kit = client_kit({"a:1"});
    const uint64_t one = kit->request(make_directory("/a"), kProgram);
    const uint64_t two = kit->request(make_directory("/b"), kProgram);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_INTERNAL));
    EXPECT_EQ(kit->take_answer(one)->mutation_result().status().code(), pb::STATUS_INTERNAL);
    EXPECT_EQ(kit->take_answer(two)->mutation_result().status().code(), pb::STATUS_INTERNAL);
    EXPECT_EQ(kit->timers(), 0u);
}

TEST(ClientActor, resource_exhausted_is_retried_after_a_growing_pause) {
    auto kit = client_kit({"a:1", "b:1"});
    const uint64_t request = kit->request(stat_query("/"), kProgram, 10 * kSecond);
    std::vector<uint64_t> pauses;
    Message sent = kit->take(pb::Envelope::kQuery);
    const std::string server = sent->to_node();
    for (int i = 0; i < 8; ++i) {
        const uint64_t before = kit->now_us();
        kit->answer(sent, query_result(pb::STATUS_RESOURCE_EXHAUSTED));
        ASSERT_TRUE(kit->fire_next_timer());
        pauses.push_back(kit->now_us() - before);
        sent = kit->take(pb::Envelope::kQuery);
        EXPECT_EQ(sent->to_node(), server);  // Busy, not wrong.
    }
    EXPECT_LE(pauses.front(), 10'000u);
    EXPECT_GE(pauses.back(), 100'000u);
    EXPECT_LE(pauses.back(), 200'000u);
    kit->answer(sent, query_result());
    EXPECT_EQ(kit->take_answer(request)->query_result().status().code(), pb::STATUS_OK);
}

TEST(ClientActor, a_dead_leader_is_left_though_followers_still_name_it) {
    auto kit = client_kit({"a:1", "b:1", "c:1"});
    kit->request(stat_query("/"), kProgram, 10 * kSecond);
    Message sent = kit->take(pb::Envelope::kQuery);
    const std::string dead = sent->to_node().substr(1);
    kit->fail(sent, pb::STATUS_UNAVAILABLE, "connection refused");
    std::map<std::string, int> asked;
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(kit->fire_next_timer());
        sent = kit->take(pb::Envelope::kQuery);
        ++asked[sent->to_node()];
        kit->answer(sent, query_result(pb::STATUS_NOT_LEADER, dead));
    }
    EXPECT_EQ(asked.count("@" + dead), 0u);
    EXPECT_EQ(asked.size(), 2u);
}

TEST(ClientActor, a_full_disk_is_an_answer_unless_an_earlier_attempt_may_have_been_taken_in) {
    auto kit = client_kit();
    const uint64_t first = kit->request(make_directory("/d"), kProgram, 5 * kSecond);
    open_session(*kit, 7);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ENOSPC));
    EXPECT_EQ(kit->take_answer(first)->mutation_result().status().code(), pb::STATUS_ENOSPC);

    const uint64_t second = kit->request(make_directory("/e"), kProgram, 5 * kSecond);
    kit->fail(kit->take(pb::Envelope::kMutation), pb::STATUS_DEADLINE_EXCEEDED);
    ASSERT_TRUE(kit->fire_next_timer());
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ENOSPC));
    EXPECT_EQ(answers(*kit, second), 0u);
    ASSERT_TRUE(kit->fire_next_timer());
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_OK));
    EXPECT_EQ(kit->take_answer(second)->mutation_result().status().code(), pb::STATUS_OK);
}

TEST(ClientActor, a_full_disk_is_not_asked_until_the_deadline_and_the_outcome_stays_unknown) {
    auto kit = client_kit();
    const uint64_t deadline_us = kit->now_us() + 30 * kSecond;
    const uint64_t request = kit->request(make_directory("/d"), kProgram, 30 * kSecond);
    open_session(*kit, 7);
    kit->fail(kit->take(pb::Envelope::kMutation), pb::STATUS_DEADLINE_EXCEEDED);
    size_t asked = 0;
    while (answers(*kit, request) == 0 && kit->fire_next_timer()) {
        while (auto mutation = kit->try_take(pb::Envelope::kMutation)) {
            ++asked;
            kit->answer(*mutation, mutation_result(pb::STATUS_ENOSPC));
        }
    }
    EXPECT_LE(asked, 4u);
    EXPECT_LT(kit->now_us(), deadline_us - 20 * kSecond);
    const pb::Status status = kit->take_answer(request)->mutation_result().status();
    EXPECT_EQ(status.code(), pb::STATUS_UNAVAILABLE);
    EXPECT_NE(status.message().find("outcome is unknown"), std::string::npos);
    EXPECT_NE(status.message().find("No space left"), std::string::npos);
}

TEST(ClientActor, other_refusals_are_answers) {
    auto kit = client_kit({"a:1"});
    for (const pb::StatusCode code : {pb::STATUS_ENOENT, pb::STATUS_INVALID_ARGUMENT, pb::STATUS_INTERNAL}) {
        const uint64_t request = kit->request(stat_query("/x"), kProgram);
        kit->answer(kit->take(pb::Envelope::kQuery), query_result(code));
        EXPECT_EQ(kit->take_answer(request)->query_result().status().code(), code);
    }
    const uint64_t request = kit->request(stat_query("/x"), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), message_of(pb::Flush()));  // No answer at all.
    EXPECT_EQ(kit->take_answer(request)->query_result().status().code(), pb::STATUS_INTERNAL);
    EXPECT_EQ(kit->timers(), 0u);
}

TEST(ClientActor, the_status_is_asked_of_any_server_that_answers) {
    auto kit = client_kit({"a:1", "b:1", "c:1"});
    const uint64_t request = kit->request(message_of(pb::ClusterStatusRequest()), kProgram, 5 * kSecond);
    Message sent = kit->take(pb::Envelope::kClusterStatusRequest);
    EXPECT_EQ(sent->to_actor(), pb::ACTOR_STATUS);
    std::set<std::string> asked{sent->to_node()};
    kit->fail(sent, pb::STATUS_UNAVAILABLE);
    ASSERT_TRUE(kit->fire_next_timer());
    sent = kit->take(pb::Envelope::kClusterStatusRequest);
    EXPECT_TRUE(asked.insert(sent->to_node()).second);
    pb::ClusterStatus status;
    status.set_leader_id("node-2");
    kit->answer(sent, message_of(status));
    EXPECT_EQ(kit->take_answer(request)->cluster_status().leader_id(), "node-2");
}

TEST(ClientActor, requests_without_servers_are_refused) {
    auto kit = client_kit({"nonsense"});
    const uint64_t query = kit->request(stat_query("/"), kProgram);
    EXPECT_EQ(kit->take_answer(query)->query_result().status().code(), pb::STATUS_UNAVAILABLE);
    const uint64_t write = kit->request(message_of(pb::ClientWrite()), kProgram);
    EXPECT_EQ(kit->take_answer(write)->client_write_reply().status().code(), pb::STATUS_UNAVAILABLE);
}

TEST(ClientActor, sessions_are_not_the_programs_affair) {
    auto kit = client_kit();
    pb::Mutation open;
    open.mutable_open_session();
    const uint64_t request = kit->request(message_of(open), kProgram);
    EXPECT_EQ(kit->take_answer(request)->mutation_result().status().code(), pb::STATUS_INVALID_ARGUMENT);
    const uint64_t empty = kit->request(message_of(pb::Mutation()), kProgram);
    EXPECT_EQ(kit->take_answer(empty)->mutation_result().status().code(), pb::STATUS_INVALID_ARGUMENT);
    kit->expect_nothing();
}

TEST(ClientActor, requests_at_once_are_bounded) {
    auto kit = client_kit();
    for (uint64_t i = 0; i < kOperationsMax; ++i) kit->request(stat_query("/"), kProgram);
    EXPECT_EQ(kit->count(pb::Envelope::kQuery), kOperationsMax);
    const uint64_t beyond = kit->request(stat_query("/"), kProgram);
    EXPECT_EQ(kit->take_answer(beyond)->query_result().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
}

TEST(ClientActor, sequences_do_not_run_ahead_of_the_oldest_needed) {
    auto kit = client_kit();
    for (uint64_t i = 0; i < Session::kWindow + 5; ++i) kit->request(make_directory("/a"), kProgram, 60 * kSecond);
    open_session(*kit, 3);
    EXPECT_EQ(kit->count(pb::Envelope::kMutation), Session::kWindow);
    const Message first = kit->take(pb::Envelope::kMutation);
    const Message second = kit->take(pb::Envelope::kMutation);
    kit->answer(second, mutation_result());
    EXPECT_EQ(kit->count(pb::Envelope::kMutation), Session::kWindow - 2);
    kit->answer(first, mutation_result());
    EXPECT_EQ(kit->count(pb::Envelope::kMutation), Session::kWindow);
}

TEST(ClientActor, draining_closes_the_session_and_refuses_what_comes_later) {
    auto kit = client_kit();
    kit->request(make_directory("/a"), kProgram);
    open_session(*kit, 3);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result());
    kit->drop_effects();
    const uint64_t drain = kit->request(message_of(pb::Drain()), kProgram);
    const Message close = kit->take(pb::Envelope::kMutation);
    EXPECT_TRUE(close->mutation().has_close_session());
    EXPECT_EQ(close->mutation().session_id(), 3u);
    kit->answer(close, mutation_result());
    EXPECT_TRUE(kit->take_answer(drain)->has_status_reply());
    const uint64_t late = kit->request(stat_query("/"), kProgram);
    EXPECT_EQ(kit->take_answer(late)->query_result().status().code(), pb::STATUS_UNAVAILABLE);
}

TEST(ClientActor, draining_without_a_session_is_done_at_once) {
    auto kit = client_kit();
    const uint64_t drain = kit->request(message_of(pb::Drain()), kProgram);
    EXPECT_TRUE(kit->take_answer(drain)->has_status_reply());
    kit->expect_nothing();
}

}  // namespace
}  // namespace sandstore
