// A message in flight: one envelope and, beside it, its bulk bytes (never inside the protobuf).
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/payload.h"

namespace sandstore {

namespace pb {
class Envelope;
class Status;
enum ActorKind : int;
enum StatusCode : int;
}  // namespace pb

// An actor or port of this node.
struct LocalAddress {
    pb::ActorKind actor{};
    uint32_t instance = 0;
    auto operator<=>(const LocalAddress&) const = default;
};

// An actor or port anywhere. An empty node means "this node"; see Envelope for the other forms.
struct Address {
    std::string node;
    pb::ActorKind actor{};
    uint32_t instance = 0;

    Address() = default;
    Address(pb::ActorKind actor_kind, uint32_t actor_instance = 0) : actor(actor_kind), instance(actor_instance) {}
    Address(LocalAddress local) : actor(local.actor), instance(local.instance) {}
    Address(std::string_view node_id, pb::ActorKind actor_kind, uint32_t actor_instance = 0)
        : node(node_id), actor(actor_kind), instance(actor_instance) {}
    LocalAddress local() const { return {actor, instance}; }
    auto operator<=>(const Address&) const = default;
};

// Movable only: a local send hands over the envelope itself, nothing is copied or serialized.
class Message {
 public:
    Message();  // An empty envelope.
    explicit Message(pb::Envelope envelope, Payload bytes = {});
    Message(Message&&) noexcept = default;
    Message& operator=(Message&&) noexcept = default;
    ~Message() = default;

    pb::Envelope& envelope() { return *envelope_; }
    const pb::Envelope& envelope() const { return *envelope_; }
    pb::Envelope* operator->() { return envelope_.get(); }
    const pb::Envelope* operator->() const { return envelope_.get(); }

    Message clone() const;  // For tests and for sending the same thing to several nodes; shares the payload.

    Payload payload;

 private:
    // Out of line for the envelope alone: a message that was moved from goes away without a call.
    struct EnvelopeDeleter {
        void operator()(pb::Envelope* envelope) const;
    };
    std::unique_ptr<pb::Envelope, EnvelopeDeleter> envelope_;
};

// What is needed to answer a request later. Copyable; outlives the request message.
struct ReplyTo {
    Address address;
    uint64_t request_id = 0;   // 0: the sender wants no answer.
    uint64_t deadline_us = 0;  // Monotonic time of this node; 0: none.
};

Address sender_of(const Message& message);
Address receiver_of(const Message& message);
ReplyTo reply_to(const Message& request);

// "node-2/raft" or "raft": for logs.
std::string to_string(const Address& address);
std::string_view actor_name(pb::ActorKind actor);          // "raft", "log", ...; "?" for an unknown one.
pb::ActorKind actor_from_name(std::string_view name);      // ACTOR_NONE when unknown. Accepts "RaftNode" too.
std::string_view body_name(const pb::Envelope& envelope);  // "append_entries"; "empty" without a body.

pb::Status make_status(pb::StatusCode code, std::string_view message = {});
Message request_failed(pb::StatusCode code, std::string_view why);

}  // namespace sandstore
