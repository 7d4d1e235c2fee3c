#include "runtime/trace_recorder.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <cstring>

#include "messages/trace.pb.h"
#include "runtime/crc32c.h"
#include "runtime/envelope_encoder.h"
#include "runtime/trace_writer.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

using google::protobuf::io::CodedOutputStream;

constexpr size_t kFrameBytes = 8;         // Length and checksum before each record.
constexpr size_t kNumbersBytesMax = 128;  // All tags, numbers and lengths of a delivery or a send together.
constexpr size_t kFirstCapacity = 64 << 10;

bool is_bulk(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kChunkPut:
        case pb::Envelope::kChunkGetReply:
        case pb::Envelope::kClientWrite:
        case pb::Envelope::kClientReadReply:
        case pb::Envelope::kClientReadChunkReply:
            return true;
        default:
            return false;
    }
}

bool is_bulk_disk(const pb::Envelope& envelope) {
    return envelope.from_actor() == pb::PORT_CHUNK_DISK || envelope.to_actor() == pb::PORT_CHUNK_DISK;
}

bool is_zeros(const Payload& payload) {
    for (const Payload::Piece& piece : payload.pieces()) {
        if (piece.bytes.find_first_not_of('\0') != std::string_view::npos) return false;
    }
    return true;
}

// Replay puts zeros where no content is, so zeros need not be kept.
bool keeps_content(const Message& message, PayloadDetail detail) {
    if (detail == PayloadDetail::kMeasured || detail == PayloadDetail::kLength || message.payload.empty()) return false;
    const bool bulk = is_bulk(message->body_case()) || is_bulk_disk(message.envelope());
    return (!bulk || detail == PayloadDetail::kAll) && !is_zeros(message.payload);
}

// --- The wire format of protocol buffers, by hand: what trace.proto says, in the order of its field numbers

constexpr uint32_t tag_of(int field, bool has_length) {
    return static_cast<uint32_t>(field) << 3 | (has_length ? 2 : 0);
}

size_t number_size(uint64_t value) {
    return value == 0 ? 0 : 1 + CodedOutputStream::VarintSize64(value);
}

size_t block_size(size_t length) {
    return 1 + CodedOutputStream::VarintSize64(length) + length;
}

inline uint8_t* put_number(int field, uint64_t value, uint8_t* to) {
    if (value == 0) return to;
    *to++ = static_cast<uint8_t>(tag_of(field, false));
    return CodedOutputStream::WriteVarint64ToArray(value, to);
}

inline uint8_t* put_length(int field, size_t length, uint8_t* to) {
    *to++ = static_cast<uint8_t>(tag_of(field, true));
    return CodedOutputStream::WriteVarint64ToArray(length, to);
}

struct PayloadSizes {
    bool content;
    uint32_t crc;  // 0: left out.
    size_t bytes;  // Of the TracePayload.
};

PayloadSizes sizes_of(const Message& message, PayloadDetail detail) {
    if (message.payload.empty()) return {};
    PayloadSizes sizes{keeps_content(message, detail), 0, 0};
    if (detail != PayloadDetail::kLength) sizes.crc = crc32c(message.payload);
    sizes.bytes = number_size(message.payload.size()) + (sizes.crc != 0 ? 5 : 0) +
                  (sizes.content ? block_size(message.payload.size()) + 2 : 0);
    return sizes;
}

inline uint8_t* put_payload(int field, const Message& message, const PayloadSizes& sizes, uint8_t* to) {
    const Payload& payload = message.payload;
    if (payload.empty()) return to;
    to = put_length(field, sizes.bytes, to);
    to = put_number(pb::TracePayload::kLengthFieldNumber, payload.size(), to);
    if (sizes.crc != 0) {
        *to++ = static_cast<uint8_t>(pb::TracePayload::kCrc32CFieldNumber << 3 | 5);
        to = CodedOutputStream::WriteLittleEndian32ToArray(sizes.crc, to);
    }
    if (sizes.content) {
        to = put_length(pb::TracePayload::kContentFieldNumber, payload.size(), to);
        payload.copy_to(0, {reinterpret_cast<char*>(to), payload.size()});
        to += payload.size();
        to = put_number(pb::TracePayload::kHasContentFieldNumber, 1, to);
    }
    return to;
}

void close_frame(char* frame, const uint8_t* end, TraceBytes* out) {
    const auto* last = reinterpret_cast<const char*>(end);
    const auto length = static_cast<uint32_t>(last - frame - static_cast<ptrdiff_t>(kFrameBytes));
    std::memcpy(frame, &length, sizeof(length));
    const uint32_t crc = crc32c(std::string_view(frame + kFrameBytes, length), crc32c(std::string_view(frame, 4)));
    std::memcpy(frame + 4, &crc, sizeof(crc));
    out->used(last);
}

void add_file(const google::protobuf::FileDescriptor* file, google::protobuf::FileDescriptorSet* set) {
    for (const auto& known : set->file()) {
        if (known.name() == file->name()) return;
    }
    for (int i = 0; i < file->dependency_count(); i++) add_file(file->dependency(i), set);
    file->CopyTo(set->add_file());
}

}  // namespace

char* TraceBytes::room(size_t bytes) {
    if (capacity_ - size_ < bytes) {
        const size_t capacity = std::max({kFirstCapacity, 2 * capacity_, size_ + bytes});
        std::unique_ptr<char[]> larger = std::make_unique_for_overwrite<char[]>(capacity);
        if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
        bytes_ = std::move(larger);
        capacity_ = capacity;
    }
    return bytes_.get() + size_;
}

void encode_record(const pb::TraceRecord& record, TraceBytes* out) {
    const size_t length = record.ByteSizeLong();
    char* frame = out->room(kFrameBytes + length);
    close_frame(frame, record.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(frame + kFrameBytes)), out);
}

void describe_payload(const Message& message, PayloadDetail detail, pb::TracePayload* out) {
    if (message.payload.empty()) return;
    out->set_length(message.payload.size());
    if (detail == PayloadDetail::kLength) return;
    out->set_crc32c(crc32c(message.payload));
    if (!keeps_content(message, detail)) return;
    out->set_content(message.payload.to_string());
    out->set_has_content(true);
}

void fill_trace_header(const std::string& node_id, uint64_t root_seed, pb::TraceRecord* record) {
    google::protobuf::FileDescriptorSet set;
    add_file(pb::TraceRecord::descriptor()->file(), &set);
    pb::TraceHeader* header = record->mutable_header();
    header->set_format_version(kTraceFormatVersion);
    header->set_software_version(version_text());
    header->set_node_id(node_id);
    header->set_root_seed(root_seed);
    header->set_descriptors(set.SerializeAsString());
}

TraceRecorder::TraceRecorder(PayloadDetail of_deliveries, PayloadDetail of_effects)
    : of_deliveries_(of_deliveries), of_effects_(of_effects), record_(std::make_unique<pb::TraceRecord>()) {}

TraceRecorder::~TraceRecorder() = default;

void TraceRecorder::deliver(uint64_t sequence, uint64_t now_us, uint64_t wall_us, uint64_t draws,
                            const Message& message) {
    using Deliver = pb::TraceDeliver;
    const pb::Envelope& envelope = message.envelope();
    const size_t envelope_bytes = sandstore::envelope_bytes(envelope);
    const PayloadSizes payload = sizes_of(message, of_deliveries_);
    const size_t length = number_size(sequence) + number_size(now_us) + number_size(wall_us) +
                          block_size(envelope_bytes) + (payload.bytes == 0 ? 0 : block_size(payload.bytes)) +
                          number_size(draws);
    TraceBytes& out = bytes();
    char* frame = out.room(kNumbersBytesMax + envelope_bytes + payload.bytes);
    uint8_t* to = reinterpret_cast<uint8_t*>(frame + kFrameBytes);
    to = put_length(pb::TraceRecord::kDeliverFieldNumber, length, to);
    to = put_number(Deliver::kSequenceFieldNumber, sequence, to);
    to = put_number(Deliver::kNowUsFieldNumber, now_us, to);
    to = put_number(Deliver::kWallUsFieldNumber, wall_us, to);
    to = put_length(Deliver::kEnvelopeFieldNumber, envelope_bytes, to);
    to = encode_envelope(envelope, envelope_bytes, to);
    to = put_payload(Deliver::kPayloadFieldNumber, message, payload, to);
    to = put_number(Deliver::kDrawsFieldNumber, draws, to);
    close_frame(frame, to, &out);
}

void TraceRecorder::send(uint64_t cause, uint32_t ordinal, const Message& message) {
    using Effect = pb::TraceEffect;
    const pb::Envelope& envelope = message.envelope();
    const size_t envelope_bytes = sandstore::envelope_bytes(envelope);
    const PayloadSizes payload = sizes_of(message, of_effects_);
    const size_t length = number_size(cause) + number_size(ordinal) +
                          (payload.bytes == 0 ? 0 : block_size(payload.bytes)) + block_size(envelope_bytes);
    TraceBytes& out = bytes();
    char* frame = out.room(kNumbersBytesMax + envelope_bytes + payload.bytes);
    uint8_t* to = reinterpret_cast<uint8_t*>(frame + kFrameBytes);
    to = put_length(pb::TraceRecord::kEffectFieldNumber, length, to);
    to = put_number(Effect::kCauseFieldNumber, cause, to);
    to = put_number(Effect::kOrdinalFieldNumber, ordinal, to);
    to = put_payload(Effect::kPayloadFieldNumber, message, payload, to);
    to = put_length(Effect::kSendFieldNumber, envelope_bytes, to);
    to = encode_envelope(envelope, envelope_bytes, to);
    close_frame(frame, to, &out);
}

void TraceRecorder::arm_timer(uint64_t cause, uint32_t ordinal, uint64_t timer, uint32_t tag, uint64_t data,
                              uint64_t delay_us) {
    pb::TraceEffect* effect = record_->mutable_effect();
    effect->Clear();
    effect->set_cause(cause);
    effect->set_ordinal(ordinal);
    pb::TraceEffect::ArmTimer* arm = effect->mutable_arm_timer();
    arm->set_timer_id(timer);
    arm->set_tag(tag);
    arm->set_data(data);
    arm->set_delay_us(delay_us);
    encode_record(*record_, &bytes());
}

void TraceRecorder::cancel_timer(uint64_t cause, uint32_t ordinal, uint64_t timer) {
    pb::TraceEffect* effect = record_->mutable_effect();
    effect->Clear();
    effect->set_cause(cause);
    effect->set_ordinal(ordinal);
    effect->mutable_cancel_timer()->set_timer_id(timer);
    encode_record(*record_, &bytes());
}

void TraceRecorder::fail_stop(uint64_t cause, uint32_t ordinal, const std::string& reason) {
    pb::TraceEffect* effect = record_->mutable_effect();
    effect->Clear();
    effect->set_cause(cause);
    effect->set_ordinal(ordinal);
    effect->mutable_fail_stop()->set_reason(reason);
    encode_record(*record_, &bytes());
}

void TraceRecorder::restart(LocalAddress actor, uint32_t incarnation, const std::string& reason) {
    pb::TraceRestart* restart = record_->mutable_restart();
    restart->set_actor(actor.actor);
    restart->set_instance(actor.instance);
    restart->set_incarnation(incarnation);
    restart->set_reason(reason);
    encode_record(*record_, &bytes());
}

void TraceRecorder::stopped(uint64_t cause, const std::string& reason) {
    pb::TraceStop* stop = record_->mutable_stop();
    stop->set_cause(cause);
    stop->set_reason(reason);
    encode_record(*record_, &bytes());
}

}  // namespace sandstore
