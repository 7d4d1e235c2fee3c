// A FileService on node-1 of three, and what the others would say to it.
#pragma once

#include <set>

#include "actors/chunk/chunk_key.h"
#include "actors/fs/file_service.h"
#include "actors/fs/limits.h"
#include "fs_fixture.h"
#include "runtime/message_of.h"
#include "tests/kit/step_kit.h"

namespace sandstore {

inline constexpr uint64_t kChunkBytesMax = 1u << 20;
inline const Address kClient("~1", pb::ACTOR_CLIENT);

class FileServiceTest : public testing::Test {
 protected:
    FileServiceTest() : kit_(std::make_unique<FileService>(), {pb::ACTOR_FILES}) {
        pb::ClusterView view;
        for (const char* id : {"node-1", "node-2", "node-3"}) {
            pb::Member* member = view.add_members();
            member->set_id(id);
            member->set_address(std::string(id) + ":8080");
        }
        kit_.deliver(message_of(view));
        pb::StartFiles start;
        start.set_node_id("node-1");
        start.set_copies(3);
        start.set_chunk_bytes_max(kChunkBytesMax);
        start.set_requests_max(4);
        kit_.deliver(message_of(start), pb::ACTOR_BOOTSTRAP);
        peer("node-2", true);
        peer("node-3", true);
        unfinished(1, 0);
    }

    void peer(const std::string& id, bool up) {
        if (up) {
            pb::PeerUp news;
            news.set_node_id(id);
            kit_.deliver(message_of(news), pb::PORT_TRANSPORT);
        } else {
            pb::PeerDown news;
            news.set_node_id(id);
            kit_.deliver(message_of(news), pb::PORT_TRANSPORT);
        }
    }
    void role(pb::RoleChanged::Role role, uint64_t term, const std::string& leader) {
        pb::RoleChanged changed;
        changed.set_role(role);
        changed.set_term(term);
        changed.set_leader_id(leader);
        kit_.deliver(message_of(changed), pb::ACTOR_RAFT);
    }
    void lead(uint64_t term) { role(pb::RoleChanged::LEADER, term, "node-1"); }

    static pb::Mutation mkdir(std::string_view path) {
        pb::Mutation mutation;
        mutation.set_session_id(5);
        mutation.set_sequence(1);
        *mutation.mutable_make_directory()->mutable_at() = at(path);
        return mutation;
    }
    static pb::Query stat_query(std::string_view path) {
        pb::Query query;
        *query.mutable_stat()->mutable_at() = at(path);
        return query;
    }
    static pb::AllocateChunks allocate(uint32_t count) {
        pb::AllocateChunks request;
        request.set_count(count);
        return request;
    }
    static pb::ChunkAudit audit() {
        pb::ChunkAudit request;
        request.set_node_id("node-3");
        request.set_limit(10);
        request.mutable_after()->set_term(1);
        request.mutable_after()->set_number(3);
        return request;
    }

    template <typename Body>
    uint64_t ask(Body body, uint64_t timeout_us = 1'000'000) {
        return kit_.request(message_of(std::move(body)), kClient, timeout_us);
    }
    template <typename Body>
    pb::Status refusal(Body body) {
        const Message answer = kit_.take_answer(ask(std::move(body)));
        kit_.expect_nothing();
        return status_in(answer);
    }
    static pb::Status status_in(const Message& answer) {
        switch (answer->body_case()) {
            case pb::Envelope::kMutationResult:
                return answer->mutation_result().status();
            case pb::Envelope::kQueryResult:
                return answer->query_result().status();
            case pb::Envelope::kAllocateChunksReply:
                return answer->allocate_chunks_reply().status();
            case pb::Envelope::kChunkAuditReply:
                return answer->chunk_audit_reply().status();
            default:
                ADD_FAILURE() << "not an answer in kind: " << body_name(answer.envelope());
                return {};
        }
    }
    Message proposal_answer(pb::StatusCode code, const pb::MutationResult& result = {}) {
        pb::ProposeReply reply;
        reply.mutable_status()->set_code(code);
        reply.set_result(result.SerializeAsString());
        return message_of(reply);
    }
    Message read_index(uint64_t index) {
        pb::ReadIndexReply reply;
        reply.set_index(index);
        return message_of(reply);
    }
    void unfinished(uint64_t clock_us, uint64_t due_in_us) {
        pb::UnfinishedWork work;
        work.set_clock_us(clock_us);
        work.set_due_us(due_in_us == 0 ? 0 : clock_us + due_in_us);
        kit_.deliver(message_of(work), pb::ACTOR_STATE_MACHINE);
    }
    static bool housekeeping_in(const Message& propose) {
        pb::Command command;
        EXPECT_TRUE(command.ParseFromString(propose.payload.to_string()));
        return command.housekeeping();
    }
    pb::AllocateChunksReply allocated(uint32_t count) {
        return kit_.take_answer(ask(allocate(count)))->allocate_chunks_reply();
    }

    StepKit kit_;
};

}  // namespace sandstore
