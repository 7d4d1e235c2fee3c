#include "runtime/envelope_encoder.h"

#include <google/protobuf/io/coded_stream.h>

#include <array>
#include <cstring>
#include <string>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

using google::protobuf::MessageLite;
using google::protobuf::io::CodedOutputStream;
using BodyOf = const MessageLite& (*)(const pb::Envelope&);

constexpr size_t kBodiesEnd = 256;  // Above every field number.

constexpr std::array<BodyOf, kBodiesEnd> make_bodies() {
    std::array<BodyOf, kBodiesEnd> bodies{};
#define SANDSTORE_BODY_OF(Type, field) \
    bodies[pb::Envelope::k##Type] = [](const pb::Envelope& e) -> const MessageLite& { return e.field(); };
    SANDSTORE_BODIES(SANDSTORE_BODY_OF)
#undef SANDSTORE_BODY_OF
    return bodies;
}
constexpr std::array<BodyOf, kBodiesEnd> kBodies = make_bodies();

uint8_t* put_number(int field, uint64_t value, uint8_t* to) {
    if (value == 0) return to;
    *to++ = static_cast<uint8_t>(field << 3);
    return CodedOutputStream::WriteVarint64ToArray(value, to);
}

uint8_t* put_text(int field, const std::string& text, uint8_t* to) {
    if (text.empty()) return to;
    *to++ = static_cast<uint8_t>(field << 3 | 2);
    to = CodedOutputStream::WriteVarint64ToArray(text.size(), to);
    std::memcpy(to, text.data(), text.size());
    return to + text.size();
}

}  // namespace

size_t envelope_bytes(const pb::Envelope& envelope) {
    return envelope.ByteSizeLong();
}

// All but the fields of a newer version.
static uint8_t* encode_known(const pb::Envelope& envelope, uint8_t* to) {
    using E = pb::Envelope;
    const auto number = static_cast<size_t>(envelope.body_case());
    to = put_text(E::kFromNodeFieldNumber, envelope.from_node(), to);
    to = put_number(E::kFromActorFieldNumber, static_cast<uint64_t>(envelope.from_actor()), to);
    to = put_number(E::kFromInstanceFieldNumber, envelope.from_instance(), to);
    to = put_text(E::kToNodeFieldNumber, envelope.to_node(), to);
    to = put_number(E::kToActorFieldNumber, static_cast<uint64_t>(envelope.to_actor()), to);
    to = put_number(E::kToInstanceFieldNumber, envelope.to_instance(), to);
    to = put_number(E::kRequestIdFieldNumber, envelope.request_id(), to);
    to = put_number(E::kReplyToFieldNumber, envelope.reply_to(), to);
    to = put_number(E::kDeadlineUsFieldNumber, envelope.deadline_us(), to);
    to = put_number(E::kIncarnationFieldNumber, envelope.incarnation(), to);
    if (number >= kBodiesEnd || kBodies[number] == nullptr) return to;
    const MessageLite& body = kBodies[number](envelope);
    const int body_bytes = body.GetCachedSize();
    to = CodedOutputStream::WriteTagToArray(static_cast<uint32_t>(number) << 3 | 2, to);
    to = CodedOutputStream::WriteVarint64ToArray(static_cast<uint64_t>(body_bytes), to);
    return body_bytes == 0 ? to : body.SerializeWithCachedSizesToArray(to);
}

uint8_t* encode_envelope(const pb::Envelope& envelope, size_t bytes, uint8_t* to) {
    uint8_t* const end = encode_known(envelope, to);
    if (end == to + bytes) return end;
    return envelope.SerializeWithCachedSizesToArray(to);  // Something from a newer version travels on.
}

}  // namespace sandstore
