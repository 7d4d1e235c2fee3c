#include "tests/sim/side_work.h"

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

std::string own_directory(const std::string& client) {
    return str_cat("/own-", client);
}

// A client that gave no answer at all in time has answered nothing else either.
pb::StatusCode code_of(const Message& reply) {
    return reply->has_mutation_result() ? reply->mutation_result().status().code() : pb::STATUS_DEADLINE_EXCEEDED;
}

// It may have happened, or may yet.
bool is_uncertain(const Message& reply) {
    const pb::StatusCode code = code_of(reply);
    if (code != pb::STATUS_UNAVAILABLE && code != pb::STATUS_DEADLINE_EXCEEDED) return false;
    return !reply->mutation_result().status().message().starts_with("nothing was changed");
}

}  // namespace

SideWork::SideWork(SimCluster& cluster, const Schedule& schedule)
    : cluster_(cluster),
      timeout_us_(static_cast<uint64_t>(schedule.setting("operation_timeout_us"))),
      clients_(static_cast<uint64_t>(schedule.setting("clients"))) {}

void SideWork::ask(const std::string& id, Message request,
                   void (SideWork::*done)(const std::string& id, const Message& reply)) {
    by_client_[id].busy = true;
    cluster_.ask(id, std::move(request), timeout_us_, [this, id, done](Message reply) {
        by_client_[id].busy = false;
        (this->*done)(id, reply);
    });
}

void SideWork::begin(const SimEvent& event) {
    const std::string id = str_cat("client-", 1 + static_cast<uint64_t>(event.argument(0) - 1) % clients_);
    Client& client = by_client_[id];
    if (client.busy) return;
    pb::Mutation mutation;
    switch (event.kind) {
        case SimEventKind::kOwnDirectory:
            if (client.directory == Directory::kThere) {
                mutation.mutable_remove_directory()->mutable_at()->set_path(own_directory(id));
                return ask(id, message_of(std::move(mutation)), &SideWork::directory_removed);
            }
            mutation.mutable_make_directory()->mutable_at()->set_path(own_directory(id));
            mutation.mutable_make_directory()->set_mode(0755);
            return ask(id, message_of(std::move(mutation)), &SideWork::directory_made);
        case SimEventKind::kHold:
            if (client.holds.empty()) {
                mutation.mutable_hold_chunks()->set_lifetime_us(static_cast<uint64_t>(event.argument(1)));
                return ask(id, message_of(std::move(mutation)), &SideWork::hold_begun);
            }
            mutation.mutable_release_hold()->set_hold_id(client.holds.back());
            client.holds.pop_back();
            return ask(id, message_of(std::move(mutation)), &SideWork::hold_ended);
        default:  // kExport
            client.export_index = 0;
            client.export_checksum = 0;
            return ask_for_piece(id, 0, 0);
    }
}

void SideWork::directory_made(const std::string& id, const Message& reply) {
    Client& client = by_client_[id];
    if (is_uncertain(reply)) client.directory = Directory::kUnknown;
    if (client.directory == Directory::kUnknown) return;
    if (code_of(reply) == pb::STATUS_EEXIST) {
        throw InvariantBroken(str_cat("invariant own_directories: that of ", id, " was not there, and cannot be made"));
    }
    if (code_of(reply) == pb::STATUS_OK) client.directory = Directory::kThere;
}

void SideWork::directory_removed(const std::string& id, const Message& reply) {
    Client& client = by_client_[id];
    if (is_uncertain(reply)) client.directory = Directory::kUnknown;
    if (client.directory == Directory::kUnknown) return;
    if (code_of(reply) == pb::STATUS_ENOENT) {
        throw InvariantBroken(str_cat("invariant own_directories: that of ", id, " was there, and is gone"));
    }
    if (code_of(reply) == pb::STATUS_OK) client.directory = Directory::kAbsent;
}

void SideWork::hold_begun(const std::string& id, const Message& reply) {
    if (code_of(reply) == pb::STATUS_OK) by_client_[id].holds.push_back(reply->mutation_result().hold_id());
}

// Whatever the answer: it may have ended by itself, or by an attempt before this one.
void SideWork::hold_ended(const std::string& /*id*/, const Message& /*reply*/) {}

void SideWork::ask_for_piece(const std::string& id, uint64_t export_id, uint64_t piece) {
    pb::Query query;
    query.mutable_export_state()->set_export_id(export_id);
    query.mutable_export_state()->set_piece(piece);
    ask(id, message_of(std::move(query)), &SideWork::piece_exported);
}

// The pieces of an export are of one state, and those of the same state are the same.
void SideWork::piece_exported(const std::string& id, const Message& reply) {
    const pb::QueryResult& result = reply->query_result();
    if (!reply->has_query_result() || result.status().code() != pb::STATUS_OK) return;
    Client& client = by_client_[id];
    if (client.export_index == 0) {
        client.export_index = result.export_index();
        client.export_pieces = 0;
    }
    if (client.export_index != result.export_index()) {
        throw InvariantBroken(str_cat("invariant exports_are_of_one_state: ", client.export_index, " and ",
                                      result.export_index(), " in one of ", id));
    }
    client.export_checksum = crc32c(reply.payload.to_string(), client.export_checksum);
    if (result.more()) return ask_for_piece(id, result.export_id(), ++client.export_pieces);
    const auto known = exports_.emplace(client.export_index, client.export_checksum).first;
    if (known->second == client.export_checksum) return;
    throw InvariantBroken(str_cat("invariant equal_exports: two of ", client.export_index, " differ"));
}

}  // namespace sandstore
