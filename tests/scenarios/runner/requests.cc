#include "tests/scenarios/runner/requests.h"

#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

constexpr uint64_t kReadBytesMax = 16u << 20;

void fill(const pb::Status& status, Answer* answer) {
    const std::string& name = pb::StatusCode_Name(status.code());
    answer->code = name.empty() ? std::to_string(status.code()) : name.substr(std::string_view("STATUS_").size());
    answer->why = status.message();
}

Answer answer_of(const Message& reply) {
    Answer answer;
    switch (reply->body_case()) {
        case pb::Envelope::kProposeReply:
            fill(reply->propose_reply().status(), &answer);
            answer.text = std::to_string(reply->propose_reply().index());
            break;
        case pb::Envelope::kReadIndexReply:
            fill(reply->read_index_reply().status(), &answer);
            answer.text = std::to_string(reply->read_index_reply().index());
            break;
        case pb::Envelope::kMembershipChanged:
            fill(reply->membership_changed().status(), &answer);
            answer.text = std::to_string(reply->membership_changed().index());
            break;
        case pb::Envelope::kSnapshotSaved:
            fill(reply->snapshot_saved().status(), &answer);
            answer.text = std::to_string(reply->snapshot_saved().meta().index());
            break;
        case pb::Envelope::kStatusReply:
            fill(reply->status_reply().status(), &answer);
            break;
        case pb::Envelope::kMutationResult:
            fill(reply->mutation_result().status(), &answer);
            break;
        case pb::Envelope::kQueryResult:
            fill(reply->query_result().status(), &answer);
            answer.text = std::to_string(reply->query_result().attributes().size());
            break;
        case pb::Envelope::kClientWriteReply:
            fill(reply->client_write_reply().status(), &answer);
            break;
        case pb::Envelope::kClientReadReply:
            fill(reply->client_read_reply().status(), &answer);
            answer.text = reply.payload.to_string();
            break;
        case pb::Envelope::kRequestFailed:
            fill(reply->request_failed().status(), &answer);
            break;
        default:
            answer.code = str_cat("an unexpected ", body_name(reply.envelope()));
    }
    return answer;
}

void add_change(const std::string& kind, const std::string& node, pb::ChangeMembership* request) {
    using Change = pb::ChangeMembership::Change;
    static const std::map<std::string, Change::Kind> kKinds = {{"add", Change::ADD_LEARNER},
                                                               {"promote", Change::PROMOTE},
                                                               {"remove", Change::REMOVE},
                                                               {"demote", Change::DEMOTE}};
    const auto found = kKinds.find(kind);
    if (found == kKinds.end()) throw ScriptError(str_cat("members are added, promoted, demoted, removed; not ", kind));
    Change* change = request->add_changes();
    change->set_kind(found->second);
    change->set_node_id(node);
    if (found->second == Change::ADD_LEARNER) change->set_address(SimNetwork::address_of(node));
}

}  // namespace

bool Requests::is_request(std::string_view verb) {
    return verb.starts_with("client-") || verb == "propose" || verb == "read-index" || verb == "transfer" ||
           verb == "members" || verb == "snapshot";
}

uint64_t Requests::last_index_of(const std::string& node) {
    RaftNode* raft = cluster_.raft(node);
    return raft == nullptr || raft->core() == nullptr ? 0 : raft->core()->last_index();
}

Requests::Place Requests::begin(Arguments& arguments) {
    const std::string verb = arguments.text("a request");
    if (verb.starts_with("client-")) {
        if (clients_.insert(verb).second) cluster_.add_client(verb);
        const std::string operation = arguments.text("an operation");
        Order order = file_order(operation, arguments);
        if (arguments.accept("timeout")) order.timeout_us = arguments.duration_us();
        return ask_client(verb, std::move(order));
    }
    if (verb == "propose") return propose(arguments);
    if (verb == "members") return change_members(arguments);
    const std::string node = arguments.node();
    if (verb == "read-index") {
        pb::ReadIndex read;
        read.set_leader_only(arguments.accept("leader-only"));
        return ask_node(node, pb::ACTOR_RAFT, {message_of(std::move(read))});
    }
    if (verb == "snapshot") return ask_node(node, pb::ACTOR_RAFT, {message_of(pb::RequestSnapshot())});
    pb::TransferLeadership transfer;
    if (arguments.accept("->")) transfer.set_node_id(arguments.text("a node"));
    return ask_node(node, pb::ACTOR_RAFT, {message_of(std::move(transfer))});
}

Requests::Place Requests::ask_node(const std::string& node, pb::ActorKind actor, Order order) {
    auto place = std::make_shared<std::optional<Answer>>();
    Dispatcher* dispatcher = cluster_.runtime().node(node);
    if (dispatcher == nullptr) throw ScriptError(str_cat(node, " is not running: it cannot be asked"));
    dispatcher->ask(actor, std::move(order.message), order.timeout_us,
                    [place](Message reply) { *place = answer_of(reply); });
    return place;
}

Requests::Place Requests::ask_client(const std::string& client, Order order) {
    auto place = std::make_shared<std::optional<Answer>>();
    cluster_.ask(client, std::move(order.message), order.timeout_us,
                 [place](Message reply) { *place = answer_of(reply); });
    return place;
}

// A command that the state machine takes in order and refuses: it belongs to no session. What it holds is a filler of
// the bytes wanted.
Requests::Place Requests::propose(Arguments& arguments) {
    const std::string node = arguments.node();
    pb::Command command;
    command.set_time_us(++proposals_);
    command.mutable_mutation()->set_session_id(1'000'000'000);
    command.mutable_mutation()->set_sequence(proposals_);
    command.mutable_mutation()->mutable_create_file()->mutable_at()->set_path("/proposed");
    std::string filler = arguments.text("what to propose");
    if (arguments.accept("bytes")) filler.resize(arguments.number("bytes"), '.');
    command.mutable_mutation()->set_filler(filler);
    return ask_node(node, pb::ACTOR_RAFT, {message_of(pb::Propose(), Payload(command.SerializeAsString()))});
}

// members node-1 add node-4 promote node-5 remove node-2: asked of node-1, all in one change.
Requests::Place Requests::change_members(Arguments& arguments) {
    const std::string node = arguments.node();
    pb::ChangeMembership request;
    do {
        const std::string kind = arguments.text("add, promote, demote or remove");
        add_change(kind, arguments.node(), &request);
    } while (!arguments.empty() && arguments.peek() != "=>");
    return ask_node(node, pb::ACTOR_RAFT, {message_of(std::move(request))});
}

Requests::Order Requests::mutation(std::string_view verb, Arguments& arguments) {
    const std::string path = arguments.text("a path");
    pb::Mutation mutation;
    if (verb == "create") {
        mutation.mutable_create_file()->mutable_at()->set_path(path);
        mutation.mutable_create_file()->set_mode(0644);
        mutation.mutable_create_file()->set_exclusive(true);
    } else if (verb == "mkdir") {
        mutation.mutable_make_directory()->mutable_at()->set_path(path);
        mutation.mutable_make_directory()->set_mode(0755);
    } else if (verb == "remove") {
        mutation.mutable_remove_file()->mutable_at()->set_path(path);
    } else if (verb == "rename") {
        mutation.mutable_rename()->mutable_from()->set_path(path);
        mutation.mutable_rename()->mutable_to()->set_path(arguments.text("a path"));
    } else {
        throw ScriptError(str_cat("a client cannot '", verb, "'"));
    }
    return {message_of(std::move(mutation))};
}

Requests::Order Requests::file_order(std::string_view verb, Arguments& arguments) {
    if (verb == "write" || verb == "append") {
        pb::ClientWrite write;
        write.mutable_at()->set_path(arguments.text("a path"));
        write.set_append(verb == "append");
        write.set_truncate(verb == "write");
        return {message_of(std::move(write), Payload(arguments.text("what to write")))};
    }
    if (verb == "read") {
        pb::ClientRead read;
        read.mutable_at()->set_path(arguments.text("a path"));
        read.set_length(kReadBytesMax);
        return {message_of(std::move(read))};
    }
    if (verb == "stat" || verb == "stat-anywhere") {
        pb::Query query;
        query.mutable_stat()->mutable_at()->set_path(arguments.text("a path"));
        query.set_any_node(verb == "stat-anywhere");
        return {message_of(std::move(query))};
    }
    return mutation(verb, arguments);
}

}  // namespace sandstore
