#include "runtime/message.h"

#include "messages/envelope.pb.h"
#include "runtime/text.h"

namespace sandstore {

void Message::EnvelopeDeleter::operator()(pb::Envelope* envelope) const {
    delete envelope;
}

Message::Message() : envelope_(new pb::Envelope) {}
Message::Message(pb::Envelope envelope, Payload bytes)
    : payload(std::move(bytes)), envelope_(new pb::Envelope(std::move(envelope))) {}

Message Message::clone() const {
    return Message(pb::Envelope(*envelope_), payload);
}

Address sender_of(const Message& message) {
    return {message->from_node(), message->from_actor(), message->from_instance()};
}

Address receiver_of(const Message& message) {
    return {message->to_node(), message->to_actor(), message->to_instance()};
}

ReplyTo reply_to(const Message& request) {
    return {sender_of(request), request->request_id(), request->deadline_us()};
}

std::string to_string(const Address& address) {
    std::string text;
    if (!address.node.empty()) str_append(&text, address.node, "/");
    str_append(&text, actor_name(address.actor));
    if (address.instance != 0) str_append(&text, "#", address.instance);
    return text;
}

namespace {

struct ActorNames {
    pb::ActorKind actor;
    std::string_view name;
    std::string_view type;
};

constexpr ActorNames kActorNames[] = {
    {pb::ACTOR_BOOTSTRAP, "bootstrap", "Bootstrap"},
    {pb::ACTOR_RAFT, "raft", "RaftNode"},
    {pb::ACTOR_LOG, "log", "LogStore"},
    {pb::ACTOR_STATE_MACHINE, "state", "StateMachine"},
    {pb::ACTOR_FILES, "files", "FileService"},
    {pb::ACTOR_CHUNKS, "chunks", "ChunkService"},
    {pb::ACTOR_REPAIRER, "repairer", "Repairer"},
    {pb::ACTOR_MOVER, "mover", "Mover"},
    {pb::ACTOR_ETCD_POLLER, "etcd", "EtcdPoller"},
    {pb::ACTOR_STATUS, "status", "StatusService"},
    {pb::ACTOR_SNAPSHOTS, "snapshots", "SnapshotStore"},
    {pb::ACTOR_CLIENT, "client", "ClientActor"},
    {pb::ACTOR_EXTERNAL, "external", "External"},
    {pb::PORT_TRANSPORT, "transport", "Transport"},
    {pb::PORT_LOG_DISK, "log-disk", "LogDisk"},
    {pb::PORT_CHUNK_DISK, "chunk-disk", "ChunkDisk"},
    {pb::PORT_HTTP_CLIENT, "http", "HttpClient"},
};

}  // namespace

std::string_view actor_name(pb::ActorKind actor) {
    for (const ActorNames& entry : kActorNames) {
        if (entry.actor == actor) return entry.name;
    }
    return "?";
}

pb::ActorKind actor_from_name(std::string_view name) {
    for (const ActorNames& entry : kActorNames) {
        if (entry.name == name || entry.type == name) return entry.actor;
    }
    return pb::ACTOR_NONE;
}

std::string_view body_name(const pb::Envelope& envelope) {
    const auto* field = pb::Envelope::descriptor()->FindFieldByNumber(envelope.body_case());
    return field == nullptr ? std::string_view("empty") : std::string_view(field->name());
}

pb::Status make_status(pb::StatusCode code, std::string_view message) {
    pb::Status status;
    status.set_code(code);
    status.set_message(std::string(message));
    return status;
}

Message request_failed(pb::StatusCode code, std::string_view why) {
    Message message;
    *message->mutable_request_failed()->mutable_status() = make_status(code, why);
    return message;
}

}  // namespace sandstore
