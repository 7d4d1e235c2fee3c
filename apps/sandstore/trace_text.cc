#include "apps/sandstore/trace_text.h"

#include <google/protobuf/descriptor.pb.h>

#include "runtime/message.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

std::string ids_text(const pb::Envelope& envelope, const pb::TracePayload& payload) {
    std::string text;
    if (envelope.request_id() != 0) str_append(&text, " request=", envelope.request_id());
    if (envelope.reply_to() != 0) str_append(&text, " reply_to=", envelope.reply_to());
    if (payload.length() != 0) str_append(&text, " payload=", payload.length());
    return text;
}

}  // namespace

TraceText::TraceText(const pb::TraceHeader& header) {
    google::protobuf::FileDescriptorSet set;
    if (!set.ParseFromString(header.descriptors())) return;
    for (const auto& file : set.file()) pool_.BuildFile(file);
    const auto* type = pool_.FindMessageTypeByName("sandstore.pb.Envelope");
    if (type != nullptr) prototype_ = factory_.GetPrototype(type);
}

// Null without a body.
const google::protobuf::Message* TraceText::body(const pb::Envelope& envelope, std::string* name) {
    *name = "empty";
    const google::protobuf::Message* message = &envelope;
    if (prototype_ != nullptr) {
        if (decoded_ == nullptr) decoded_.reset(prototype_->New());
        if (!decoded_->ParsePartialFromString(envelope.SerializeAsString())) return nullptr;
        message = decoded_.get();
    }
    const auto* oneof = message->GetDescriptor()->FindOneofByName("body");
    if (oneof == nullptr) return nullptr;
    const auto* field = message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
    if (field == nullptr) return nullptr;
    *name = field->name();
    return &message->GetReflection()->GetMessage(*message, field);
}

std::string TraceText::type(const pb::Envelope& envelope) {
    std::string name;
    body(envelope, &name);
    return name;
}

std::string TraceText::fields(const pb::Envelope& envelope, size_t characters_max) {
    std::string name;
    const google::protobuf::Message* message = body(envelope, &name);
    std::string text = message == nullptr ? "" : message->ShortDebugString();
    if (text.size() > characters_max) text = str_cat(text.substr(0, characters_max), "...");
    return text;
}

std::string TraceText::body_text(const pb::Envelope& envelope) {
    return str_cat(type(envelope), " {", fields(envelope), "}");
}

std::string TraceText::delivery(const pb::TraceDeliver& delivery) {
    const pb::Envelope& envelope = delivery.envelope();
    return str_cat(to_string(Address(envelope.to_actor(), envelope.to_instance())), " <- ",
                   to_string(Address(envelope.from_node(), envelope.from_actor(), envelope.from_instance())), " ",
                   delivery.is_summary() ? type(envelope) : body_text(envelope),
                   ids_text(envelope, delivery.payload()));
}

std::string TraceText::effect(const pb::TraceEffect& effect) {
    switch (effect.effect_case()) {
        case pb::TraceEffect::kSend: {
            const pb::Envelope& sent = effect.send();
            return str_cat("-> ", to_string(Address(sent.to_node(), sent.to_actor(), sent.to_instance())), " ",
                           body_text(sent), ids_text(sent, effect.payload()));
        }
        case pb::TraceEffect::kArmTimer:
            return str_cat("-> arm timer ", effect.arm_timer().timer_id(), " tag=", effect.arm_timer().tag(), " in ",
                           effect.arm_timer().delay_us(), "us");
        case pb::TraceEffect::kCancelTimer:
            return str_cat("-> cancel timer ", effect.cancel_timer().timer_id());
        case pb::TraceEffect::kFailStop:
            return str_cat("-> stop the node: ", effect.fail_stop().reason());
        case pb::TraceEffect::EFFECT_NOT_SET:
            break;
    }
    return "-> ?";
}

}  // namespace sandstore
