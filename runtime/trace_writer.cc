#include "runtime/trace_writer.h"

#include <google/protobuf/descriptor.pb.h>

#include <cerrno>
#include <cstring>

#include "messages/trace.pb.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

constexpr size_t kFlushBytes = 256 * 1024;

bool is_bulk(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kChunkPut:
        case pb::Envelope::kChunkGetReply:
        case pb::Envelope::kClientWrite:
        case pb::Envelope::kClientReadReply:
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

void add_file(const google::protobuf::FileDescriptor* file, google::protobuf::FileDescriptorSet* set) {
    for (const auto& known : set->file()) {
        if (known.name() == file->name()) return;
    }
    for (int i = 0; i < file->dependency_count(); i++) add_file(file->dependency(i), set);
    file->CopyTo(set->add_file());
}

std::string descriptors_of_messages() {
    google::protobuf::FileDescriptorSet set;
    add_file(pb::TraceRecord::descriptor()->file(), &set);
    return set.SerializeAsString();
}

}  // namespace

void describe_payload(const Message& message, pb::TracePayload* out) {
    if (message.payload.empty()) return;
    out->set_length(message.payload.size());
    out->set_crc32c(crc32c(message.payload));
    if (is_bulk(message->body_case()) || is_bulk_disk(message.envelope())) return;
    if (is_zeros(message.payload)) return;  // Replay puts zeros where no content is.
    out->set_content(message.payload.to_string());
    out->set_has_content(true);
}

TraceWriter::TraceWriter(std::FILE* file) : file_(file), record_(std::make_unique<pb::TraceRecord>()) {}

TraceWriter::~TraceWriter() {
    flush();
}

std::unique_ptr<TraceWriter> TraceWriter::open(const std::string& path, const std::string& node_id, uint64_t root_seed,
                                               std::string* error) {
    std::FILE* file = std::fopen(path.c_str(), "wbe");
    if (file == nullptr) {
        *error = str_cat("cannot write the trace file ", path, ": ", std::strerror(errno));
        return nullptr;
    }
    std::unique_ptr<TraceWriter> writer(new TraceWriter(file));
    writer->buffer_.append(kTraceMagic, sizeof(kTraceMagic));
    pb::TraceHeader* header = writer->record_->mutable_header();
    header->set_format_version(kTraceFormatVersion);
    header->set_software_version(version_text());
    header->set_node_id(node_id);
    header->set_root_seed(root_seed);
    header->set_descriptors(descriptors_of_messages());
    writer->write(*writer->record_);
    writer->flush();
    return writer;
}

void TraceWriter::write(const pb::TraceRecord& record) {
    const size_t length = record.ByteSizeLong();
    char frame[8];
    const auto length32 = static_cast<uint32_t>(length);
    const size_t start = buffer_.size();
    buffer_.resize(start + sizeof(frame) + length);
    char* bytes = buffer_.data() + start + sizeof(frame);
    record.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(bytes));
    std::memcpy(frame, &length32, sizeof(length32));
    const uint32_t crc = crc32c(std::string_view(bytes, length), crc32c(std::string_view(frame, 4)));
    std::memcpy(frame + 4, &crc, sizeof(crc));
    std::memcpy(buffer_.data() + start, frame, sizeof(frame));
    if (buffer_.size() >= kFlushBytes) flush();
}

void TraceWriter::flush() {
    if (buffer_.empty()) return;
    std::fwrite(buffer_.data(), 1, buffer_.size(), file_.get());
    std::fflush(file_.get());
    buffer_.clear();
}

uint64_t TraceWriter::deliver(uint64_t now_us, uint64_t wall_us, uint64_t draws, const Message& message) {
    pb::TraceDeliver* deliver = record_->mutable_deliver();
    deliver->Clear();
    deliver->set_sequence(next_sequence_);
    deliver->set_now_us(now_us);
    deliver->set_wall_us(wall_us);
    deliver->set_draws(draws);
    *deliver->mutable_envelope() = message.envelope();
    if (!message.payload.empty()) describe_payload(message, deliver->mutable_payload());
    write(*record_);
    return next_sequence_++;
}

void TraceWriter::send(uint64_t cause, uint32_t ordinal, const Message& message) {
    pb::TraceEffect* effect = record_->mutable_effect();
    effect->Clear();
    effect->set_cause(cause);
    effect->set_ordinal(ordinal);
    *effect->mutable_send() = message.envelope();
    if (!message.payload.empty()) describe_payload(message, effect->mutable_payload());
    write(*record_);
}

void TraceWriter::arm_timer(uint64_t cause, uint32_t ordinal, uint64_t timer, uint32_t tag, uint64_t data,
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
    write(*record_);
}

void TraceWriter::cancel_timer(uint64_t cause, uint32_t ordinal, uint64_t timer) {
    pb::TraceEffect* effect = record_->mutable_effect();
    effect->Clear();
    effect->set_cause(cause);
    effect->set_ordinal(ordinal);
    effect->mutable_cancel_timer()->set_timer_id(timer);
    write(*record_);
}

void TraceWriter::fail_stop(uint64_t cause, uint32_t ordinal, const std::string& reason) {
    pb::TraceEffect* effect = record_->mutable_effect();
    effect->Clear();
    effect->set_cause(cause);
    effect->set_ordinal(ordinal);
    effect->mutable_fail_stop()->set_reason(reason);
    write(*record_);
}

void TraceWriter::restart(LocalAddress actor, uint32_t incarnation, const std::string& reason) {
    pb::TraceRestart* restart = record_->mutable_restart();
    restart->set_actor(actor.actor);
    restart->set_instance(actor.instance);
    restart->set_incarnation(incarnation);
    restart->set_reason(reason);
    write(*record_);
}

}  // namespace sandstore
