#include "apps/sandstore/trace_printer.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "messages/trace.pb.h"
#include "runtime/text.h"
#include "runtime/trace_reader.h"

namespace sandstore {

namespace {

constexpr size_t kBodyCharactersMax = 400;

// Knows the envelope as the writer of the trace knew it.
class BodyPrinter {
 public:
    explicit BodyPrinter(const std::string& descriptors) {
        google::protobuf::FileDescriptorSet set;
        if (!set.ParseFromString(descriptors)) return;
        for (const auto& file : set.file()) pool_.BuildFile(file);
        const auto* type = pool_.FindMessageTypeByName("sandstore.pb.Envelope");
        if (type != nullptr) prototype_ = factory_.GetPrototype(type);
    }

    std::string name(const pb::Envelope& envelope) { return describe(envelope, false); }
    std::string text(const pb::Envelope& envelope) { return describe(envelope, true); }

 private:
    std::string describe(const pb::Envelope& envelope, bool with_fields) {
        if (prototype_ == nullptr) return std::string(body_name(envelope));
        std::unique_ptr<google::protobuf::Message> message(prototype_->New());
        if (!message->ParsePartialFromString(envelope.SerializeAsString())) return "?";
        const auto* oneof = message->GetDescriptor()->FindOneofByName("body");
        const auto* field =
            oneof == nullptr ? nullptr : message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
        if (field == nullptr) return "empty";
        if (!with_fields) return field->name();
        std::string fields = message->GetReflection()->GetMessage(*message, field).ShortDebugString();
        if (fields.size() > kBodyCharactersMax) fields = str_cat(fields.substr(0, kBodyCharactersMax), "...");
        return str_cat(field->name(), " {", fields, "}");
    }

    google::protobuf::DescriptorPool pool_;
    google::protobuf::DynamicMessageFactory factory_;
    const google::protobuf::Message* prototype_ = nullptr;
};

std::string address_text(const std::string& node, pb::ActorKind actor, uint32_t instance) {
    return to_string(Address(node, actor, instance));
}

std::string ids_text(const pb::Envelope& envelope, const pb::TracePayload& payload) {
    std::string text;
    if (envelope.request_id() != 0) str_append(&text, " request=", envelope.request_id());
    if (envelope.reply_to() != 0) str_append(&text, " reply_to=", envelope.reply_to());
    if (payload.length() != 0) str_append(&text, " payload=", payload.length());
    return text;
}

std::string effect_text(const pb::TraceEffect& effect, BodyPrinter& bodies) {
    switch (effect.effect_case()) {
        case pb::TraceEffect::kSend: {
            const pb::Envelope& sent = effect.send();
            return str_cat("-> ", address_text(sent.to_node(), sent.to_actor(), sent.to_instance()), " ",
                           bodies.text(sent), ids_text(sent, effect.payload()));
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

// Reads to the end; gives the problem, prints the note.
std::string for_each_record(TraceReader& trace, std::FILE* out,
                            const std::function<void(const pb::TraceRecord&)>& take) {
    pb::TraceRecord record;
    while (true) {
        switch (trace.next(&record)) {
            case TraceReader::Outcome::kRecord:
                take(record);
                break;
            case TraceReader::Outcome::kEnd:
                return "";
            case TraceReader::Outcome::kCutOff:
                std::fprintf(out, "note: the trace is cut off at offset %llu\n",
                             static_cast<unsigned long long>(trace.offset()));
                return "";
            case TraceReader::Outcome::kDamaged:
                return str_cat("the trace is damaged at offset ", trace.offset());
        }
    }
}

// Which deliveries, and with them which effects, were asked for.
class Selector {
 public:
    explicit Selector(const TraceSelection& selection) : selection_(selection) {}
    bool wants(const pb::TraceRecord& record) {
        if (record.has_effect()) return record.effect().cause() == chosen_ && chosen_ != 0;
        if (record.has_restart()) return fits(record.restart().actor());
        if (!record.has_deliver()) return false;
        const uint64_t sequence = record.deliver().sequence();
        const bool wanted =
            sequence >= selection_.from && sequence <= selection_.to && fits(record.deliver().envelope().to_actor());
        chosen_ = wanted ? sequence : 0;
        return wanted;
    }

 private:
    bool fits(pb::ActorKind actor) const { return selection_.actor == pb::ACTOR_NONE || selection_.actor == actor; }
    TraceSelection selection_;
    uint64_t chosen_ = 0;
};

}  // namespace

std::string print_trace(TraceReader& trace, const TraceSelection& selection, std::FILE* out) {
    BodyPrinter bodies(trace.header().descriptors());
    std::fprintf(out, "trace of %s, sandstore %s, seed %llu\n", trace.header().node_id().c_str(),
                 trace.header().software_version().c_str(),
                 static_cast<unsigned long long>(trace.header().root_seed()));
    Selector selector(selection);
    uint64_t first_us = 0;
    return for_each_record(trace, out, [&](const pb::TraceRecord& record) {
        if (!selector.wants(record)) return;
        if (record.has_effect()) {
            std::fprintf(out, "          %s\n", effect_text(record.effect(), bodies).c_str());
            return;
        }
        if (record.has_restart()) {
            std::fprintf(out, "restart %s: %s\n", std::string(actor_name(record.restart().actor())).c_str(),
                         record.restart().reason().c_str());
            return;
        }
        const pb::TraceDeliver& deliver = record.deliver();
        const pb::Envelope& envelope = deliver.envelope();
        if (first_us == 0) first_us = deliver.now_us();
        std::fprintf(out, "%-8llu +%.6fs %s <- %s %s%s\n", static_cast<unsigned long long>(deliver.sequence()),
                     static_cast<double>(deliver.now_us() - first_us) / 1e6,
                     address_text("", envelope.to_actor(), envelope.to_instance()).c_str(),
                     address_text(envelope.from_node(), envelope.from_actor(), envelope.from_instance()).c_str(),
                     bodies.text(envelope).c_str(), ids_text(envelope, deliver.payload()).c_str());
    });
}

std::string print_trace_statistics(TraceReader& trace, const TraceSelection& selection, std::FILE* out) {
    struct Row {
        uint64_t deliveries = 0;
        uint64_t effects = 0;
        uint64_t payload_bytes = 0;
    };
    BodyPrinter bodies(trace.header().descriptors());
    Selector selector(selection);
    std::map<std::pair<std::string, std::string>, Row> rows;
    Row* row = nullptr;
    const std::string problem = for_each_record(trace, out, [&](const pb::TraceRecord& record) {
        if (!selector.wants(record) || record.has_restart()) return;
        if (record.has_effect()) {
            row->effects++;
            return;
        }
        const pb::Envelope& envelope = record.deliver().envelope();
        row = &rows[{std::string(actor_name(envelope.to_actor())), bodies.name(envelope)}];
        row->deliveries++;
        row->payload_bytes += record.deliver().payload().length();
    });
    std::fprintf(out, "%-12s %-24s %12s %12s %16s\n", "actor", "message", "deliveries", "effects", "payload bytes");
    for (const auto& [key, counts] : rows) {
        std::fprintf(out, "%-12s %-24s %12llu %12llu %16llu\n", key.first.c_str(), key.second.c_str(),
                     static_cast<unsigned long long>(counts.deliveries),
                     static_cast<unsigned long long>(counts.effects),
                     static_cast<unsigned long long>(counts.payload_bytes));
    }
    return problem;
}

}  // namespace sandstore
