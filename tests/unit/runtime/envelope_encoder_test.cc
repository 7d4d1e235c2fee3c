#include "runtime/envelope_encoder.h"

#include <gtest/gtest.h>

#include <string>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

std::string encoded(const pb::Envelope& envelope) {
    std::string bytes(envelope_bytes(envelope), '\0');
    auto* begin = reinterpret_cast<uint8_t*>(bytes.data());
    EXPECT_EQ(encode_envelope(envelope, bytes.size(), begin), begin + bytes.size());
    return bytes;
}

void fill_addresses(pb::Envelope* envelope) {
    envelope->set_from_node("node-1");
    envelope->set_from_actor(pb::PORT_TRANSPORT);
    envelope->set_from_instance(3);
    envelope->set_to_node("~7");
    envelope->set_to_actor(pb::ACTOR_RAFT);
    envelope->set_to_instance(300);
    envelope->set_request_id(UINT64_MAX);
    envelope->set_reply_to(1);
    envelope->set_deadline_us(1'700'000'000'000'000);
    envelope->set_incarnation(2);
}

TEST(EnvelopeEncoder, every_body_is_encoded_to_the_byte_as_the_envelope_does_itself) {
    const auto* oneof = pb::Envelope::descriptor()->FindOneofByName("body");
    ASSERT_NE(oneof, nullptr);
    for (int i = 0; i < oneof->field_count(); i++) {
        SCOPED_TRACE(oneof->field(i)->name());
        pb::Envelope envelope;
        google::protobuf::Message* body = pb::Envelope::GetReflection()->MutableMessage(&envelope, oneof->field(i));
        EXPECT_EQ(encoded(envelope), envelope.SerializeAsString());
        fill_addresses(&envelope);
        EXPECT_EQ(encoded(envelope), envelope.SerializeAsString());
        // Some fields, whatever they are.
        for (int f = 0; f < body->GetDescriptor()->field_count(); f++) {
            const auto* field = body->GetDescriptor()->field(f);
            if (field->is_repeated()) continue;
            if (field->type() == google::protobuf::FieldDescriptor::TYPE_UINT64) {
                body->GetReflection()->SetUInt64(body, field, 1'000'000);
            } else if (field->type() == google::protobuf::FieldDescriptor::TYPE_STRING) {
                body->GetReflection()->SetString(body, field, "text");
            }
        }
        EXPECT_EQ(encoded(envelope), envelope.SerializeAsString());
    }
}

TEST(EnvelopeEncoder, an_envelope_without_body_and_one_of_a_newer_version_are_encoded_too) {
    pb::Envelope envelope;
    EXPECT_EQ(encoded(envelope), "");
    fill_addresses(&envelope);
    EXPECT_EQ(encoded(envelope), envelope.SerializeAsString());
    pb::Envelope::GetReflection()->MutableUnknownFields(&envelope)->AddVarint(900, 5);
    EXPECT_EQ(encoded(envelope), envelope.SerializeAsString());
    EXPECT_GT(encoded(envelope).size(), 0u);
}

}  // namespace
}  // namespace sandstore
