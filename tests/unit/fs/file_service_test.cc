// The FileService actor through its messages: what it lets through, what it asks, and that each request is answered
// exactly once and in kind.
#include "file_service_fixture.h"
#include "runtime/names.h"

namespace sandstore {
namespace {

// --- Mutations -------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, a_mutation_is_proposed_with_the_leaders_time_and_answered_with_its_result) {
    lead(1);
    const uint64_t id = ask(mkdir("/d"), 700'000);
    const uint64_t proposed_at_us = kit_.wall_us();
    ASSERT_EQ(kit_.effects().size(), 1u);
    EXPECT_EQ(kit_.effects()[0].timeout_us, 700'000u) << "the client's deadline is passed on";
    const Message propose = kit_.take(pb::Envelope::kPropose);
    EXPECT_EQ(propose->to_actor(), pb::ACTOR_RAFT);
    pb::Command command;
    ASSERT_TRUE(command.ParseFromString(propose.payload.to_string()));
    EXPECT_EQ(command.time_us(), proposed_at_us);
    EXPECT_EQ(command.mutation().SerializeAsString(), mkdir("/d").SerializeAsString());
    pb::MutationResult result;
    result.mutable_attributes()->set_inode(42);
    kit_.answer(propose, proposal_answer(pb::STATUS_OK, result));
    EXPECT_EQ(kit_.take_answer(id)->mutation_result().attributes().inode(), 42u);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, a_failed_operation_comes_back_as_it_is) {
    lead(1);
    const uint64_t id = ask(mkdir("/d"));
    pb::MutationResult result;
    result.mutable_status()->set_code(pb::STATUS_EEXIST);
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_OK, result));
    EXPECT_EQ(status_in(kit_.take_answer(id)).code(), pb::STATUS_EEXIST);
}

// The log would keep it, and a newer replica act by it.
TEST_F(FileServiceTest, what_a_later_version_says_in_a_mutation_is_refused_wherever_it_stands) {
    lead(1);
    const auto with_unknown = [](google::protobuf::Message* message) {
        message->GetReflection()->MutableUnknownFields(message)->AddVarint(200, 1);
    };
    pb::Mutation operation;  // As one of a later version looks here.
    operation.set_session_id(5);
    operation.set_sequence(1);
    with_unknown(&operation);
    EXPECT_EQ(refusal(operation).code(), pb::STATUS_INVALID_ARGUMENT);
    pb::Mutation field = mkdir("/d");
    with_unknown(&field);
    EXPECT_EQ(refusal(field).code(), pb::STATUS_INVALID_ARGUMENT);
    pb::Mutation deep = mkdir("/d");
    with_unknown(deep.mutable_make_directory()->mutable_at());
    EXPECT_EQ(refusal(deep).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_NE(refusal(deep).message().find("this version does not know"), std::string::npos);
    pb::Mutation list;
    list.set_session_id(5);
    list.set_sequence(1);
    *list.mutable_commit_extents()->mutable_at() = at("/f");
    pb::Extent* extent = list.mutable_commit_extents()->add_extents();
    extent->set_length(1);
    extent->set_chunk_length(1);
    extent->mutable_chunk()->mutable_id()->set_term(1);
    extent->mutable_chunk()->mutable_id()->set_number(1);
    extent->mutable_chunk()->add_replicas("node-1");
    with_unknown(extent->mutable_chunk());
    EXPECT_EQ(refusal(list).code(), pb::STATUS_INVALID_ARGUMENT);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, a_malformed_mutation_is_never_proposed) {
    lead(1);
    const auto code = [&](const pb::Mutation& mutation) { return refusal(mutation).code(); };
    EXPECT_EQ(code(mkdir("/a/../b")), pb::STATUS_EINVAL);
    EXPECT_EQ(code(mkdir(std::string_view("/a\0b", 4))), pb::STATUS_EINVAL);
    EXPECT_EQ(code(mkdir(std::string(256, 'x'))), pb::STATUS_ENAMETOOLONG);
    EXPECT_EQ(code(mkdir(std::string(5000, '/'))), pb::STATUS_ENAMETOOLONG);
    EXPECT_EQ(code(pb::Mutation()), pb::STATUS_INVALID_ARGUMENT);
    pb::Mutation mutation = mkdir("/d");
    mutation.set_session_id(0);
    EXPECT_EQ(code(mutation), pb::STATUS_INVALID_ARGUMENT);
    mutation = mkdir("/d");
    mutation.set_sequence(0);
    EXPECT_EQ(code(mutation), pb::STATUS_INVALID_ARGUMENT);
    mutation = mkdir("/d");
    mutation.set_oldest_needed(2);
    EXPECT_EQ(code(mutation), pb::STATUS_INVALID_ARGUMENT);
    mutation = mkdir("/d");
    mutation.mutable_make_directory()->set_mode(010000);
    EXPECT_EQ(code(mutation), pb::STATUS_EINVAL);
    mutation.mutable_open_session();
    EXPECT_EQ(code(mutation), pb::STATUS_INVALID_ARGUMENT);
    mutation = mkdir("/d");
    *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 10, 1, 0, kChunkBytesStored + 1)});
    EXPECT_EQ(code(mutation), pb::STATUS_EINVAL);
    *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 10, 1, 5, 10)});
    EXPECT_EQ(code(mutation), pb::STATUS_EINVAL);
    EXPECT_FALSE(refusal(mutation).message().empty());
}

TEST_F(FileServiceTest, chunks_are_abandoned_only_when_all_replicas_know_what_that_is) {
    lead(7);
    const uint64_t number = allocated(1).places(0).id().number();
    pb::Mutation mutation;
    mutation.set_session_id(5);
    mutation.set_sequence(1);
    pb::AbandonChunks::Chunk& chunk = *mutation.mutable_abandon_chunks()->add_chunks();
    chunk.mutable_id()->set_term(7);
    chunk.mutable_id()->set_number(number);
    EXPECT_EQ(refusal(mutation).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_NE(refusal(mutation).message().find("raise-features"), std::string::npos);
    pb::ConfigurationChanged raised;
    raised.mutable_configuration()->set_feature_level(2);
    for (const char* id : {"node-1", "node-2", "node-3"}) raised.mutable_configuration()->add_voters(id);
    kit_.deliver(message_of(raised), pb::ACTOR_RAFT);
    ask(mutation);
    kit_.take(pb::Envelope::kPropose);
    chunk.mutable_id()->set_number(number + 1);
    EXPECT_EQ(refusal(mutation).code(), pb::STATUS_EINVAL) << "it was never given out";
}

TEST_F(FileServiceTest, the_mover_is_told_of_chunks_that_were_placed_before_members_changed) {
    lead(7);
    const uint64_t number = allocated(1).places(0).id().number();
    const auto commits = [&](uint64_t term, pb::StatusCode code) {
        pb::Mutation mutation;
        mutation.set_session_id(5);
        mutation.set_sequence(1);
        *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 1, number)});
        mutation.mutable_commit_extents()->mutable_extents(0)->mutable_chunk()->mutable_id()->set_term(term);
        ask(mutation);
        pb::MutationResult result;
        result.mutable_status()->set_code(code);
        pb::ProposeReply reply;
        reply.set_result(result.SerializeAsString());
        kit_.answer(kit_.take(pb::Envelope::kPropose), message_of(reply));
        return kit_.try_take(pb::Envelope::kEarlierChunks).has_value();
    };
    EXPECT_FALSE(commits(7, pb::STATUS_OK)) << "nothing has changed since";
    EXPECT_TRUE(commits(6, pb::STATUS_OK)) << "what happened under another leader is not known";
    pb::PeerDown down;
    down.set_node_id("node-2");
    kit_.deliver(message_of(down), pb::PORT_TRANSPORT);
    EXPECT_FALSE(commits(7, pb::STATUS_ENOENT)) << "nothing came into use";
    EXPECT_TRUE(commits(7, pb::STATUS_OK));
}

TEST_F(FileServiceTest, a_mutation_too_large_for_the_log_is_refused) {
    lead(2);
    pb::Mutation mutation = mkdir("/f");
    pb::CommitExtents& commit = *mutation.mutable_commit_extents();
    for (int i = 0; i < kExtentsPerCommandMax; ++i) {
        pb::Extent& added = *commit.add_extents();
        added = extent(static_cast<uint64_t>(i), 1, 1, 0, 1);
        added.mutable_chunk()->clear_replicas();
        for (int node = 0; node < kReplicasMax; ++node) {
            added.mutable_chunk()->add_replicas(std::string(kNodeIdBytesMax, static_cast<char>('a' + node)));
        }
    }
    ask(mutation);
    kit_.take(pb::Envelope::kPropose);  // Whatever a commit may name fits.
    mutation.set_filler(std::string(kFillerBytesMax, 'x'));
    EXPECT_EQ(refusal(mutation).code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(FileServiceTest, addresses_stay_out_of_the_log) {
    lead(2);
    pb::Mutation mutation = mkdir("/f");
    pb::Extent one = extent(0, 10, 1);
    one.mutable_chunk()->add_addresses("node-1:8080");
    *mutation.mutable_commit_extents() = commit("/f", 0, {one});
    ask(mutation);
    pb::Command command;
    ASSERT_TRUE(command.ParseFromString(kit_.take(pb::Envelope::kPropose).payload.to_string()));
    EXPECT_EQ(command.mutation().commit_extents().extents(0).chunk().addresses_size(), 0);
    EXPECT_EQ(command.mutation().commit_extents().extents(0).chunk().replicas_size(), 3);
}

TEST_F(FileServiceTest, every_failure_of_a_proposal_reaches_the_client_once) {
    lead(1);
    for (const pb::StatusCode code :
         {pb::STATUS_UNAVAILABLE, pb::STATUS_DEADLINE_EXCEEDED, pb::STATUS_RESOURCE_EXHAUSTED, pb::STATUS_NOT_LEADER}) {
        const uint64_t replied = ask(mkdir("/d"));
        kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(code));
        EXPECT_EQ(status_in(kit_.take_answer(replied)).code(), code);
        const uint64_t failed = ask(mkdir("/d"));
        const Message propose = kit_.take(pb::Envelope::kPropose);
        kit_.fail(propose, code);
        EXPECT_EQ(status_in(kit_.take_answer(failed)).code(), code);
        kit_.fail(propose, code);
        kit_.expect_nothing();
    }
    const uint64_t unreadable = ask(mkdir("/d"));
    pb::ProposeReply reply;
    reply.set_result("\xff\xff\xff");
    kit_.answer(kit_.take(pb::Envelope::kPropose), message_of(reply));
    EXPECT_EQ(status_in(kit_.take_answer(unreadable)).code(), pb::STATUS_INTERNAL);
}

TEST_F(FileServiceTest, requests_are_timed_by_operation_and_outcome) {
    lead(1);
    const auto count = [&](const char* op, const char* code) {
        const MetricLabels labels = {{"api", "files"}, {"op", op}, {"code", code}};
        return kit_.metrics().histogram("sandstore_request_duration_seconds", "", labels).count();
    };
    const Gauge& in_flight = kit_.metrics().gauge("sandstore_requests_in_flight", "", {{"api", "files"}});
    for (const pb::StatusCode code : {pb::STATUS_UNAVAILABLE, pb::STATUS_NOT_LEADER}) {
        ask(mkdir("/d"));
        EXPECT_EQ(in_flight.value(), 1);
        kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(code));
        EXPECT_EQ(in_flight.value(), 0);
    }
    EXPECT_EQ(count("make_directory", "unavailable"), 1u);
    EXPECT_EQ(count("make_directory", "not_leader"), 1u);
    EXPECT_EQ(count("make_directory", "ok"), 0u);
    ask(mkdir("/d"));
    kit_.advance(4'000);
    pb::ProposeReply reply;
    pb::MutationResult exists;
    exists.mutable_status()->set_code(pb::STATUS_EEXIST);
    reply.set_result(exists.SerializeAsString());
    kit_.answer(kit_.take(pb::Envelope::kPropose), message_of(reply));
    const MetricLabels labels = {{"api", "files"}, {"op", "make_directory"}, {"code", "eexist"}};
    EXPECT_EQ(kit_.metrics().histogram("sandstore_request_duration_seconds", "", labels).sum_us(), 4'000u);
}

// --- Redirects -------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, a_follower_names_the_leader_without_asking_raft) {
    role(pb::RoleChanged::FOLLOWER, 3, "node-2");
    for (const pb::Status& status : {refusal(mkdir("/d")), refusal(allocate(1)), refusal(audit())}) {
        EXPECT_EQ(status.code(), pb::STATUS_NOT_LEADER);
        EXPECT_EQ(status.leader_id(), "node-2");
        EXPECT_EQ(status.leader_address(), "node-2:8080");
    }
    role(pb::RoleChanged::CANDIDATE, 4, "");
    EXPECT_EQ(refusal(mkdir("/d")).code(), pb::STATUS_NOT_LEADER);
    EXPECT_EQ(refusal(mkdir("/d")).leader_id(), "");
}

TEST_F(FileServiceTest, a_leader_unknown_to_discovery_is_named_without_an_address) {
    role(pb::RoleChanged::FOLLOWER, 3, "node-9");
    EXPECT_EQ(refusal(mkdir("/d")).leader_id(), "node-9");
    EXPECT_EQ(refusal(mkdir("/d")).leader_address(), "");
}

TEST_F(FileServiceTest, before_the_first_election_raft_is_asked) {
    const uint64_t id = ask(mkdir("/d"));
    pb::ProposeReply reply;
    reply.mutable_status()->set_code(pb::STATUS_NOT_LEADER);
    reply.mutable_status()->set_leader_id("node-3");
    kit_.answer(kit_.take(pb::Envelope::kPropose), message_of(reply));
    const pb::Status status = status_in(kit_.take_answer(id));
    EXPECT_EQ(status.leader_id(), "node-3");
    EXPECT_EQ(status.leader_address(), "node-3:8080");
    EXPECT_EQ(refusal(allocate(1)).code(), pb::STATUS_NOT_LEADER);
}

TEST_F(FileServiceTest, a_node_that_lost_the_lead_does_not_name_itself) {
    lead(1);
    const uint64_t id = ask(mkdir("/d"));
    const Message propose = kit_.take(pb::Envelope::kPropose);
    kit_.answer(propose, proposal_answer(pb::STATUS_NOT_LEADER));
    EXPECT_EQ(status_in(kit_.take_answer(id)).leader_id(), "");
}

// --- Queries ---------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, a_read_needs_a_read_index_taken_after_it_came_in) {
    lead(1);
    pb::Query query = stat_query("/d");
    query.set_minimum_index(1);  // Not for clients to say.
    const uint64_t id = ask(query, 900'000);
    const Message ask_raft = kit_.take(pb::Envelope::kReadIndex);
    kit_.expect_nothing();
    kit_.advance(200'000);
    kit_.answer(ask_raft, read_index(77));
    ASSERT_EQ(kit_.effects().size(), 1u);
    EXPECT_EQ(kit_.effects()[0].timeout_us, 700'000u);
    const Message ask_state = kit_.take(pb::Envelope::kQuery);
    EXPECT_EQ(ask_state->to_actor(), pb::ACTOR_STATE_MACHINE);
    EXPECT_EQ(ask_state->query().minimum_index(), 77u);
    EXPECT_EQ(ask_state->query().stat().at().path(), "/d");
    pb::QueryResult result;
    result.mutable_attributes()->set_inode(42);
    kit_.answer(ask_state, message_of(result));
    EXPECT_EQ(kit_.take_answer(id)->query_result().attributes().inode(), 42u);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, a_follower_answers_reads_that_any_node_may_answer_with_the_leaders_read_index) {
    role(pb::RoleChanged::FOLLOWER, 4, "node-2");
    pb::Query query = stat_query("/d");
    query.set_any_node(true);
    const uint64_t id = ask(query);
    const Message ask_raft = kit_.take(pb::Envelope::kReadIndex);
    EXPECT_FALSE(ask_raft->read_index().leader_only());
    kit_.answer(ask_raft, read_index(12));
    const Message ask_state = kit_.take(pb::Envelope::kQuery);
    EXPECT_EQ(ask_state->query().minimum_index(), 12u);
    pb::QueryResult result;
    result.mutable_attributes()->set_inode(42);
    kit_.answer(ask_state, message_of(result));
    EXPECT_EQ(kit_.take_answer(id)->query_result().attributes().inode(), 42u);
}

TEST_F(FileServiceTest, other_reads_and_audits_are_the_leaders) {
    role(pb::RoleChanged::FOLLOWER, 4, "node-2");
    const uint64_t id = ask(stat_query("/d"));
    const Message ask_raft = kit_.take(pb::Envelope::kReadIndex);
    EXPECT_TRUE(ask_raft->read_index().leader_only());
    pb::ReadIndexReply reply;
    reply.mutable_status()->set_code(pb::STATUS_NOT_LEADER);
    kit_.answer(ask_raft, message_of(reply));
    const pb::Status status = status_in(kit_.take_answer(id));
    EXPECT_EQ(status.code(), pb::STATUS_NOT_LEADER);
    EXPECT_EQ(status.leader_address(), "node-2:8080");
    lead(5);
    ask(audit());
    EXPECT_TRUE(kit_.take(pb::Envelope::kReadIndex)->read_index().leader_only());
}

TEST_F(FileServiceTest, a_full_disk_is_told_to_the_client_as_such) {
    lead(1);
    const uint64_t id = ask(mkdir("/d"));
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_ENOSPC));
    EXPECT_EQ(status_in(kit_.take_answer(id)).code(), pb::STATUS_ENOSPC);
}

TEST_F(FileServiceTest, a_leader_that_hands_over_gives_no_hint) {
    lead(1);
    const uint64_t id = ask(mkdir("/d"));
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_NOT_LEADER));
    const pb::Status status = status_in(kit_.take_answer(id));
    EXPECT_EQ(status.code(), pb::STATUS_NOT_LEADER);
    EXPECT_EQ(status.leader_address(), "");
}

TEST_F(FileServiceTest, a_change_of_the_members_needs_nothing_from_it) {
    kit_.deliver(message_of(pb::ConfigurationChanged()), pb::ACTOR_RAFT);
    kit_.expect_nothing();
}

TEST(FileService, it_asks_the_actors_of_its_own_group) {
    StepKit kit(std::make_unique<FileService>(), {pb::ACTOR_FILES, 3});
    pb::StartFiles start;
    start.set_node_id("node-1");
    start.set_requests_max(4);
    kit.deliver(message_of(start), pb::ACTOR_BOOTSTRAP);
    pb::Query query;
    query.mutable_stat();
    kit.request(message_of(query), kClient);
    const Message asked = kit.take(pb::Envelope::kReadIndex);
    EXPECT_EQ(receiver_of(asked), Address(pb::ACTOR_RAFT, 3));
    kit.answer(asked, message_of(pb::ReadIndexReply()));
    EXPECT_EQ(receiver_of(kit.take(pb::Envelope::kQuery)), Address(pb::ACTOR_STATE_MACHINE, 3));
}

TEST_F(FileServiceTest, a_deposed_leader_answers_no_reads) {
    lead(1);
    const uint64_t id = ask(stat_query("/d"));
    pb::ReadIndexReply reply;
    reply.mutable_status()->set_code(pb::STATUS_NOT_LEADER);
    reply.mutable_status()->set_leader_id("node-2");
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), message_of(reply));
    EXPECT_EQ(status_in(kit_.take_answer(id)).leader_address(), "node-2:8080");
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, a_read_that_fails_on_the_way_is_answered_in_kind) {
    lead(1);
    const uint64_t first = ask(stat_query("/d"));
    kit_.fail(kit_.take(pb::Envelope::kReadIndex), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_EQ(status_in(kit_.take_answer(first)).code(), pb::STATUS_DEADLINE_EXCEEDED);
    const uint64_t second = ask(stat_query("/d"));
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(1));
    kit_.fail(kit_.take(pb::Envelope::kQuery), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(status_in(kit_.take_answer(second)).code(), pb::STATUS_UNAVAILABLE);
    const uint64_t third = ask(stat_query("/d"), 100);
    const Message late = kit_.take(pb::Envelope::kReadIndex);
    kit_.advance(100);
    kit_.answer(late, read_index(1));
    EXPECT_EQ(status_in(kit_.take_answer(third)).code(), pb::STATUS_DEADLINE_EXCEEDED);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, malformed_queries_are_refused) {
    lead(1);
    EXPECT_EQ(refusal(pb::Query()).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(refusal(stat_query("..")).code(), pb::STATUS_EINVAL);
    pb::Query list;
    list.mutable_list_directory()->set_limit(kDirectoryEntriesMax + 1);
    EXPECT_EQ(refusal(list).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(refusal(pb::ChunkAudit()).code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(FileServiceTest, extents_are_answered_with_the_addresses_of_today) {
    lead(1);
    pb::Query query;
    *query.mutable_read_extents()->mutable_at() = at("/f");
    const uint64_t id = ask(query);
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(1));
    pb::QueryResult result;
    *result.add_extents() = extent(0, 10, 1);
    result.mutable_extents(0)->mutable_chunk()->set_replicas(1, "node-9");
    kit_.answer(kit_.take(pb::Envelope::kQuery), message_of(result));
    const Message answer = kit_.take_answer(id);
    const pb::ChunkPlace& place = answer->query_result().extents(0).chunk();
    ASSERT_EQ(place.addresses_size(), 3);
    EXPECT_EQ(place.addresses(0), "node-1:8080");
    EXPECT_EQ(place.addresses(1), "") << "a node that discovery does not know";
    EXPECT_EQ(place.addresses(2), "node-3:8080");
}

TEST_F(FileServiceTest, the_size_of_the_file_system_is_summed_over_members) {
    lead(1);
    for (const char* id : {"node-1", "node-2"}) {
        pb::ChunkStats stats;
        stats.set_node_id(id);
        stats.set_disk_total_bytes(1000);
        stats.set_disk_free_bytes(400);
        const bool own = std::string_view(id) == "node-1";
        kit_.deliver(message_of(stats), own ? Address(pb::ACTOR_CHUNKS) : Address(id, pb::ACTOR_CHUNKS));
    }
    pb::Query query;
    query.mutable_stat_file_system();
    const uint64_t id = ask(query);
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(1));
    pb::QueryResult result;
    result.set_inode_count(7);
    kit_.answer(kit_.take(pb::Envelope::kQuery), message_of(result));
    const Message answer = kit_.take_answer(id);
    EXPECT_EQ(answer->query_result().inode_count(), 7u);
    EXPECT_EQ(answer->query_result().disk_total_bytes(), 2000u);
    EXPECT_EQ(answer->query_result().disk_free_bytes(), 800u);
    EXPECT_EQ(answer->query_result().copies(), 3u);
}

TEST_F(FileServiceTest, an_audit_is_answered_as_of_a_read_index) {
    lead(1);
    const uint64_t id = kit_.request(message_of(audit()), Address("node-3", pb::ACTOR_REPAIRER));
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    const Message query = kit_.take(pb::Envelope::kQuery);
    EXPECT_EQ(query->query().minimum_index(), 9u);
    EXPECT_EQ(query->query().chunks_of_node().node_id(), "node-3");
    EXPECT_EQ(query->query().chunks_of_node().after().number(), 3u);
    EXPECT_EQ(query->query().chunks_of_node().limit(), 10u);
    pb::QueryResult result;
    *result.add_chunks() = extent(0, 1, 5).chunk();
    result.mutable_last_chunk()->set_term(1);
    result.mutable_last_chunk()->set_number(6);
    result.set_more(true);
    kit_.answer(query, message_of(result));
    const Message answer = kit_.take_answer(id);
    const pb::ChunkAuditReply& reply = answer->chunk_audit_reply();
    ASSERT_EQ(reply.chunks_size(), 1);
    EXPECT_EQ(reply.chunks(0).id().number(), 5u);
    EXPECT_EQ(reply.chunks(0).addresses_size(), 3);
    EXPECT_EQ(reply.last().number(), 6u);
    EXPECT_FALSE(reply.done());
}

TEST_F(FileServiceTest, an_audit_that_fails_is_never_taken_for_an_empty_one) {
    lead(1);
    const uint64_t id = ask(audit());
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    pb::QueryResult result;
    result.mutable_status()->set_code(pb::STATUS_RESOURCE_EXHAUSTED);
    kit_.answer(kit_.take(pb::Envelope::kQuery), message_of(result));
    const Message answer = kit_.take_answer(id);
    EXPECT_EQ(answer->chunk_audit_reply().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    EXPECT_FALSE(answer->chunk_audit_reply().done());
}

TEST_F(FileServiceTest, an_audit_carries_the_cluster_s_clock_and_what_is_known_of_candidates) {
    lead(1);
    pb::ChunkAudit request = audit();
    request.add_candidates()->mutable_id()->set_number(7);
    const uint64_t id = ask(request);
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    const Message query = kit_.take(pb::Envelope::kQuery);
    ASSERT_EQ(query->query().chunks_of_node().candidates_size(), 1);
    EXPECT_EQ(query->query().chunks_of_node().candidates(0).id().number(), 7u);
    pb::QueryResult result;
    result.set_clock_us(kit_.wall_us() - 5);
    result.set_began_us(17);
    result.add_verdicts(pb::CHUNK_COLLECTED);
    kit_.answer(query, message_of(result));
    const Message answer = kit_.take_answer(id);
    EXPECT_EQ(answer->chunk_audit_reply().clock_us(), result.clock_us());
    EXPECT_EQ(answer->chunk_audit_reply().began_us(), 17u);
    EXPECT_EQ(answer->chunk_audit_reply().verdicts(0), pb::CHUNK_COLLECTED);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, an_audit_moves_the_clock_of_a_cluster_in_which_nobody_writes) {
    lead(1);
    pb::QueryResult result;
    result.set_clock_us(kit_.wall_us());
    ask(audit());
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    kit_.answer(kit_.take(pb::Envelope::kQuery), message_of(result));
    EXPECT_FALSE(kit_.has(pb::Envelope::kPropose));
    kit_.advance(FileService::kClockLagMaxUs + 1);
    ask(audit());
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    kit_.answer(kit_.take(pb::Envelope::kQuery), message_of(result));
    EXPECT_TRUE(housekeeping_in(kit_.take(pb::Envelope::kPropose)));
}

// --- Places ----------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, the_leader_gives_places_without_asking_anyone) {
    lead(4);
    const pb::AllocateChunksReply reply = allocated(2);
    EXPECT_EQ(reply.chunk_bytes_max(), kChunkBytesMax);
    kit_.expect_nothing();
    ASSERT_EQ(reply.places_size(), 2);
    EXPECT_EQ(reply.places(0).id().term(), 4u);
    EXPECT_EQ(reply.places(0).replicas_size(), 3);
    EXPECT_EQ(reply.places(0).addresses_size(), 3);
    EXPECT_EQ(reply.places(0).acknowledgements_needed(), 2u);
    EXPECT_EQ(reply.places(0).allocated_at_us(), 1u) << "by the cluster's clock";
}

TEST_F(FileServiceTest, chunk_ids_are_unique_over_terms_and_repeated_announcements) {
    std::set<std::pair<uint64_t, uint64_t>> ids;
    const auto take = [&](uint32_t count) {
        const pb::AllocateChunksReply reply = allocated(count);
        ASSERT_EQ(static_cast<uint32_t>(reply.places_size()), count);
        for (const pb::ChunkPlace& place : reply.places()) {
            EXPECT_GT(place.id().number(), 0u);
            EXPECT_TRUE(ids.insert({place.id().term(), place.id().number()}).second);
        }
    };
    lead(1);
    take(64);
    lead(1);
    take(10);
    role(pb::RoleChanged::FOLLOWER, 2, "node-2");
    lead(3);
    take(10);
    lead(4);
    take(10);
    EXPECT_EQ(ids.size(), 94u);
    EXPECT_TRUE(ids.contains({4, 1})) << "each term counts from one";
}

TEST_F(FileServiceTest, one_dead_node_does_not_stop_new_chunks_and_two_do) {
    lead(1);
    peer("node-2", false);
    const pb::AllocateChunksReply reply = allocated(10);
    ASSERT_EQ(reply.places_size(), 10);
    for (const pb::ChunkPlace& place : reply.places()) EXPECT_EQ(place.replicas(2), "node-2");
    peer("node-3", false);
    const pb::Status status = refusal(allocate(1));
    EXPECT_EQ(status.code(), pb::STATUS_UNAVAILABLE);
    EXPECT_FALSE(status.message().empty());
    peer("node-2", true);
    EXPECT_EQ(allocated(1).places(0).replicas(2), "node-3");
}

TEST_F(FileServiceTest, without_a_majority_of_disks_with_room_new_chunks_are_refused_at_once) {
    lead(1);
    const auto full = [&](const std::string& node, uint64_t free_bytes) {
        pb::ChunkStats stats;
        stats.set_node_id(node);
        stats.set_disk_total_bytes(1000);
        stats.set_disk_free_bytes(free_bytes);
        stats.set_disk_reserve_bytes(100);
        kit_.deliver(message_of(stats), node == "node-1" ? Address(pb::ACTOR_CHUNKS) : Address(node, pb::ACTOR_CHUNKS));
    };
    full("node-1", 100);
    EXPECT_EQ(allocated(1).places_size(), 1);
    full("node-3", 50);
    const pb::Status status = refusal(allocate(1));
    EXPECT_EQ(status.code(), pb::STATUS_ENOSPC);
    EXPECT_NE(status.message().find("node-1, node-3"), std::string::npos) << status.message();
    full("node-3", 500);
    EXPECT_EQ(allocated(1).places_size(), 1);
}

TEST_F(FileServiceTest, a_chunk_that_was_never_given_out_is_not_committed) {
    lead(1);
    allocated(3);
    pb::Mutation mutation = mkdir("/d");
    *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 1, 4)});
    EXPECT_EQ(refusal(mutation).code(), pb::STATUS_EINVAL);
    *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 1, 3)});
    ask(mutation);
    EXPECT_TRUE(kit_.has(pb::Envelope::kPropose));
}

TEST_F(FileServiceTest, a_request_for_places_names_a_sensible_count) {
    lead(1);
    EXPECT_EQ(refusal(allocate(0)).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(refusal(allocate(65)).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(allocated(64).places_size(), 64);
}

// --- Bounds ----------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, requests_in_flight_are_bounded) {
    lead(1);
    std::vector<uint64_t> ids;
    for (int i = 0; i < 2; ++i) ids.push_back(ask(mkdir("/d")));
    for (int i = 0; i < 2; ++i) ids.push_back(ask(stat_query("/d")));
    EXPECT_EQ(status_in(kit_.take_answer(ask(mkdir("/d")))).code(), pb::STATUS_RESOURCE_EXHAUSTED);
    EXPECT_EQ(status_in(kit_.take_answer(ask(stat_query("/d")))).code(), pb::STATUS_RESOURCE_EXHAUSTED);
    EXPECT_EQ(status_in(kit_.take_answer(ask(audit()))).code(), pb::STATUS_RESOURCE_EXHAUSTED);
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_OK));
    kit_.take_answer(ids[0]);
    const uint64_t next = ask(mkdir("/d"));
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_OK));
    kit_.take_answer(ids[1]);
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_OK));
    kit_.take_answer(next);
}

TEST_F(FileServiceTest, a_request_whose_deadline_has_passed_is_not_tried) {
    lead(1);
    EXPECT_EQ(status_in(kit_.take_answer(ask(mkdir("/d"), 0))).code(), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_EQ(status_in(kit_.take_answer(ask(stat_query("/d"), 0))).code(), pb::STATUS_DEADLINE_EXCEEDED);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, a_request_without_a_deadline_gets_one) {
    lead(1);
    Message message = message_of(mkdir("/d"));
    message->set_request_id(9);
    kit_.deliver(std::move(message), kClient);
    EXPECT_EQ(kit_.effects()[0].timeout_us, FileService::kDefaultTimeoutUs);
}

// --- Strangers -------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, clients_cannot_speak_for_the_nodes_own_actors) {
    lead(1);
    pb::RoleChanged changed;
    changed.set_role(pb::RoleChanged::FOLLOWER);
    kit_.deliver(message_of(changed), kClient);
    pb::PeerDown down;
    down.set_node_id("node-2");
    kit_.deliver(message_of(down), kClient);
    pb::ChunkStats stats;
    stats.set_node_id("node-2");
    stats.set_chunk_bytes(1);
    kit_.deliver(message_of(stats), kClient);
    kit_.deliver(message_of(stats), Address("node-3", pb::ACTOR_CHUNKS));
    const uint64_t mutation = ask(mkdir("/d"));
    Message forged = proposal_answer(pb::STATUS_OK);
    forged->set_reply_to(kit_.take(pb::Envelope::kPropose)->request_id());
    kit_.deliver(std::move(forged), kClient);
    kit_.expect_nothing();
    EXPECT_EQ(allocated(1).places_size(), 1);
    EXPECT_NE(mutation, 0u);
}

TEST_F(FileServiceTest, what_it_does_not_know_is_refused_as_unknown) {
    const uint64_t id = ask(pb::ChunkGet());
    EXPECT_EQ(kit_.take_answer(id)->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST(FileService, before_its_start_every_request_is_answered_in_kind) {
    StepKit kit(std::make_unique<FileService>(), {pb::ACTOR_FILES});
    const uint64_t mutation = kit.request(message_of(pb::Mutation()), kClient);
    EXPECT_EQ(kit.take_answer(mutation)->mutation_result().status().code(), pb::STATUS_UNAVAILABLE);
    pb::Query query;
    query.mutable_stat();
    const uint64_t read = kit.request(message_of(query), kClient);
    EXPECT_EQ(kit.take_answer(read)->query_result().status().code(), pb::STATUS_UNAVAILABLE);
    pb::AllocateChunks allocate;
    allocate.set_count(1);
    const uint64_t places = kit.request(message_of(allocate), kClient);
    EXPECT_EQ(kit.take_answer(places)->allocate_chunks_reply().status().code(), pb::STATUS_UNAVAILABLE);
    pb::ChunkAudit audit;
    audit.set_node_id("node-3");
    const uint64_t audited = kit.request(message_of(audit), kClient);
    EXPECT_EQ(kit.take_answer(audited)->chunk_audit_reply().status().code(), pb::STATUS_UNAVAILABLE);
}

}  // namespace
}  // namespace sandstore
