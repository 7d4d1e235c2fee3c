#include "client/client.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "client/client_actor.h"
#include "client/settings.h"
#include "net/transport.h"
#include "runtime/event_runtime.h"
#include "runtime/library_log.h"
#include "runtime/logging.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kCloseTimeoutUs = 300'000;
constexpr uint64_t kAfterworkTimeoutUs = 2'000'000;
constexpr uint64_t kSilenceUs = 2'000'000;
constexpr uint32_t kEntriesPerPage = 5'000;

pb::At at_path(std::string_view path) {
    pb::At at;
    at.set_path(std::string(path));
    return at;
}

}  // namespace

struct Client::Inside {
    Logger logger;
    LibraryLog library_log{logger};
    MetricsRegistry metrics;
    EventRuntime runtime{{.node_id = "client", .may_be_stopped = true}, logger, metrics};
    const ClientActor* actor = nullptr;  // The runtime's.
    bool told_silence = false;
};

Client::Client(ClientOptions options) : options_(std::move(options)), inside_(std::make_unique<Inside>()) {
    EventRuntime& runtime = inside_->runtime;
    runtime.dispatcher().add_actor({LocalAddress{pb::ACTOR_CLIENT}, [this] {
                                        auto actor = std::make_unique<ClientActor>();
                                        inside_->actor = actor.get();
                                        return actor;
                                    }});
    runtime.own_port(LocalAddress{pb::PORT_TRANSPORT},
                     std::make_unique<Transport>(runtime.base(), runtime.dispatcher(),
                                                 TransportOptions::of_client(pb::Hello::CLIENT)));
    pb::StartClient start;
    for (const std::string& server : options_.servers) start.add_servers(server);
    start.set_uid(geteuid());
    start.set_gid(getegid());
    start.set_chunk_bytes_max(options_.chunk_bytes_max);
    start.set_attempt_timeout_ms(options_.attempt_timeout_ms);
    start.set_retry_min_ms(options_.retry_min_ms);
    start.set_retry_max_ms(options_.retry_max_ms);
    start.set_read_any_node(options_.read_any_node);
    runtime.dispatcher().send(Address(pb::ACTOR_CLIENT), message_of(std::move(start)));
}

Client::~Client() {
    const bool afterwork = inside_->actor != nullptr && inside_->actor->has_afterwork();
    call(message_of(pb::Drain()), afterwork ? kAfterworkTimeoutUs : kCloseTimeoutUs);
}

void Client::submit(Message request, std::function<void(Message)> done, uint64_t timeout_us) {
    inside_->runtime.dispatcher().ask(Address(pb::ACTOR_CLIENT), std::move(request),
                                      timeout_us == 0 ? options_.timeout_us : timeout_us, std::move(done));
}

bool Client::run_until(const std::function<bool()>& done, uint64_t timeout_us) {
    return inside_->runtime.run_until(done, timeout_us);
}

Message Client::call(Message request, uint64_t timeout_us) {
    if (timeout_us == 0) timeout_us = options_.timeout_us;
    const auto answer = std::make_shared<std::optional<Message>>();
    submit(
        std::move(request), [answer](Message reply) { *answer = std::move(reply); }, timeout_us);
    const auto answered = [&answer] { return answer->has_value(); };
    const bool patient = options_.on_silence && timeout_us > kSilenceUs;
    if (patient && !run_until(answered, kSilenceUs)) tell_silence(timeout_us);
    // The request ends by itself; the second is only for a loop that hangs.
    run_until(answered, timeout_us + 1'000'000);
    if (answer->has_value()) return std::move(**answer);
    return request_failed(pb::STATUS_INTERNAL,
                          inside_->runtime.dispatcher().stop_reason().value_or("the client did not answer itself"));
}

void Client::tell_silence(uint64_t timeout_us) {
    const LeaderFinder& finder = inside_->actor->finder();
    if (finder.heard_anybody() || std::exchange(inside_->told_silence, true)) return;
    std::string servers;
    for (const std::string& server : options_.servers) str_append(&servers, servers.empty() ? "" : ", ", server);
    const std::string& why = finder.last_failure();
    options_.on_silence(str_cat("no answer yet from ", servers, why.empty() ? "" : str_cat(" (", why, ")"),
                                "; going on for up to ", timeout_us / 1'000'000, " s (--timeout)"));
}

Result<pb::MutationResult> Client::mutate_fully(pb::Mutation mutation, uint64_t timeout_us) {
    Message reply = call(message_of(std::move(mutation)), timeout_us);
    const ClientStatus status(status_of_reply(reply));
    if (!status.ok()) return status;
    return std::move(*reply->mutable_mutation_result());
}

Result<pb::Attributes> Client::mutate(pb::Mutation mutation) {
    const Result<pb::MutationResult> result = mutate_fully(std::move(mutation));
    if (!result.ok()) return result.status();
    return result->attributes();
}

Result<pb::QueryResult> Client::query(pb::Query query) {
    Message reply = call(message_of(std::move(query)));
    const ClientStatus status(status_of_reply(reply));
    if (!status.ok()) return status;
    return std::move(*reply->mutable_query_result());
}

Result<pb::Attributes> Client::make_directory(std::string_view path, bool parents, uint32_t mode) {
    pb::Mutation mutation;
    *mutation.mutable_make_directory()->mutable_at() = at_path(path);
    mutation.mutable_make_directory()->set_parents(parents);
    mutation.mutable_make_directory()->set_mode(mode);
    return mutate(std::move(mutation));
}

Result<pb::Attributes> Client::create_file(std::string_view path, bool exclusive, uint32_t mode) {
    pb::Mutation mutation;
    *mutation.mutable_create_file()->mutable_at() = at_path(path);
    mutation.mutable_create_file()->set_exclusive(exclusive);
    mutation.mutable_create_file()->set_mode(mode);
    return mutate(std::move(mutation));
}

ClientStatus Client::remove_file(std::string_view path) {
    pb::Mutation mutation;
    *mutation.mutable_remove_file()->mutable_at() = at_path(path);
    return mutate(std::move(mutation)).status();
}

ClientStatus Client::remove_directory(std::string_view path) {
    pb::Mutation mutation;
    *mutation.mutable_remove_directory()->mutable_at() = at_path(path);
    return mutate(std::move(mutation)).status();
}

ClientStatus Client::rename(std::string_view from, std::string_view to, bool no_replace) {
    pb::Mutation mutation;
    *mutation.mutable_rename()->mutable_from() = at_path(from);
    *mutation.mutable_rename()->mutable_to() = at_path(to);
    mutation.mutable_rename()->set_no_replace(no_replace);
    return mutate(std::move(mutation)).status();
}

Result<pb::Attributes> Client::set_attributes(pb::SetAttributes attributes) {
    pb::Mutation mutation;
    *mutation.mutable_set_attributes() = std::move(attributes);
    return mutate(std::move(mutation));
}

Result<pb::Attributes> Client::truncate(std::string_view path, uint64_t size) {
    pb::SetAttributes attributes;
    *attributes.mutable_at() = at_path(path);
    attributes.set_size(size);
    return set_attributes(std::move(attributes));
}

Result<pb::Attributes> Client::stat(std::string_view path) {
    pb::Query request;
    *request.mutable_stat()->mutable_at() = at_path(path);
    Result<pb::QueryResult> result = query(std::move(request));
    if (!result.ok()) return result.status();
    return result->attributes();
}

Result<std::vector<pb::DirectoryEntry>> Client::list(std::string_view path) {
    std::vector<pb::DirectoryEntry> entries;
    while (true) {
        pb::Query request;
        *request.mutable_list_directory()->mutable_at() = at_path(path);
        request.mutable_list_directory()->set_limit(kEntriesPerPage);
        if (!entries.empty()) request.mutable_list_directory()->set_after(entries.back().name());
        Result<pb::QueryResult> result = query(std::move(request));
        if (!result.ok()) return result.status();
        for (const pb::DirectoryEntry& entry : result->entries()) entries.push_back(entry);
        if (!result->more() || result->entries_size() == 0) return entries;
    }
}

Result<pb::QueryResult> Client::stat_file_system() {
    pb::Query request;
    request.mutable_stat_file_system();
    return query(std::move(request));
}

Result<Payload> Client::read(std::string_view path, uint64_t offset, uint64_t length) {
    pb::ClientRead read;
    *read.mutable_at() = at_path(path);
    read.set_offset(offset);
    read.set_length(length);
    Message reply = call(message_of(std::move(read)));
    const ClientStatus status(status_of_reply(reply));
    if (!status.ok()) return status;
    return std::move(reply.payload);
}

Result<pb::ClientWriteReply> Client::write_bytes(pb::ClientWrite write, Payload bytes) {
    Message reply = call(message_of(std::move(write), std::move(bytes)));
    const ClientStatus status(status_of_reply(reply));
    if (!status.ok()) return status;
    return std::move(*reply->mutable_client_write_reply());
}

Result<pb::ClientWriteReply> Client::write(std::string_view path, uint64_t offset, Payload bytes) {
    pb::ClientWrite write;
    *write.mutable_at() = at_path(path);
    write.set_offset(offset);
    return write_bytes(std::move(write), std::move(bytes));
}

Result<pb::ClientWriteReply> Client::append(std::string_view path, Payload bytes) {
    pb::ClientWrite write;
    *write.mutable_at() = at_path(path);
    write.set_append(true);
    return write_bytes(std::move(write), std::move(bytes));
}

Result<pb::ClusterStatus> Client::cluster_status(uint64_t timeout_us) {
    Message reply = call(message_of(pb::ClusterStatusRequest()), timeout_us);
    const ClientStatus status(status_of_reply(reply));
    if (!status.ok()) return status;
    return std::move(*reply->mutable_cluster_status());
}

std::vector<std::string> split_servers(std::string_view text) {
    std::vector<std::string> servers;
    while (!text.empty()) {
        const size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        if (!part.empty()) servers.emplace_back(part);
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return servers;
}

}  // namespace sandstore
