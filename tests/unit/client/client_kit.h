// A started ClientActor in a StepKit, and the replies that servers would give.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client/client_actor.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {

inline constexpr uint64_t kSecond = 1'000'000;
inline const Address kProgram{pb::ACTOR_EXTERNAL};

inline pb::StartClient start_client(std::vector<std::string> servers, uint64_t chunk_bytes_max = 4096) {
    pb::StartClient start;
    for (const std::string& server : servers) start.add_servers(server);
    start.set_uid(1000);
    start.set_gid(1001);
    start.set_chunk_bytes_max(chunk_bytes_max);
    start.set_attempt_timeout_ms(1000);
    start.set_retry_min_ms(10);
    start.set_retry_max_ms(200);
    return start;
}

inline std::unique_ptr<StepKit> client_kit(std::vector<std::string> servers = {"a:1"},
                                           uint64_t chunk_bytes_max = 4096) {
    auto kit = std::make_unique<StepKit>(std::make_unique<ClientActor>(), LocalAddress{pb::ACTOR_CLIENT});
    kit->deliver(message_of(start_client(std::move(servers), chunk_bytes_max)), kProgram);
    return kit;
}

inline pb::At at(std::string_view path) {
    pb::At place;
    place.set_path(std::string(path));
    return place;
}

inline Message make_directory(std::string_view path) {
    pb::Mutation mutation;
    *mutation.mutable_make_directory()->mutable_at() = at(path);
    return message_of(mutation);
}

inline Message stat_query(std::string_view path) {
    pb::Query query;
    *query.mutable_stat()->mutable_at() = at(path);
    return message_of(query);
}

inline Message mutation_result(pb::StatusCode code = pb::STATUS_OK, std::string_view leader = {}) {
    pb::MutationResult result;
    result.mutable_status()->set_code(code);
    result.mutable_status()->set_leader_address(std::string(leader));
    return message_of(result);
}

inline Message query_result(pb::StatusCode code = pb::STATUS_OK, std::string_view leader = {}) {
    pb::QueryResult result;
    result.mutable_status()->set_code(code);
    result.mutable_status()->set_leader_address(std::string(leader));
    return message_of(result);
}

inline Message session_opened(uint64_t id) {
    pb::MutationResult result;
    result.set_session_id(id);
    return message_of(result);
}

// Takes the OpenSession that must be there, and answers it.
inline void open_session(StepKit& kit, uint64_t id) {
    const Message open = kit.take(pb::Envelope::kMutation);
    ASSERT_TRUE(open->mutation().has_open_session());
    EXPECT_EQ(open->mutation().session_id(), 0u);
    kit.answer(open, session_opened(id));
}

inline pb::ChunkPlace place(uint64_t number, std::vector<std::string> addresses) {
    pb::ChunkPlace place;
    place.mutable_id()->set_term(1);
    place.mutable_id()->set_number(number);
    for (const std::string& address : addresses) {
        place.add_replicas("node-" + address.substr(0, 1));
        place.add_addresses(address);
    }
    place.set_acknowledgements_needed(static_cast<uint32_t>(addresses.size() / 2 + 1));
    return place;
}

inline std::string pattern(size_t length, unsigned seed = 0) {
    std::string bytes(length, '\0');
    for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>((i * 131 + i / 251 + seed * 17 + 1) % 255 + 1);
    return bytes;
}

// Exactly one answer for the request so far.
inline size_t answers(const StepKit& kit, uint64_t request) {
    size_t count = 0;
    for (const StepEffect& effect : kit.effects()) count += effect.message->reply_to() == request;
    return count;
}

}  // namespace sandstore
