#include "runtime/flight_recorder.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "messages/trace.pb.h"
#include "runtime/text.h"
#include "runtime/trace_file.h"
#include "runtime/trace_writer.h"

namespace sandstore {

namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr size_t kBusyLifeBytes = size_t{8} << 20;  // Of actors on the way of every commit.
constexpr size_t kQuietLifeBytes = size_t{1} << 20;
constexpr size_t kRecordingsKept = 8;

struct Placed {
    uint64_t sequence;
    std::string_view bytes;
};

// Deliveries carry their sequence, effects and stops that of their cause; a restart comes after what was before it.
uint64_t sequence_of(const pb::TraceRecord& record, uint64_t before) {
    if (record.has_deliver()) return record.deliver().sequence();
    if (record.has_effect()) return record.effect().cause();
    return before;
}

void place_records(std::string_view block, std::vector<Placed>* placed) {
    uint64_t sequence = placed->empty() ? 0 : placed->back().sequence;
    pb::TraceRecord record;
    while (!block.empty()) {
        uint32_t length = 0;
        std::memcpy(&length, block.data(), sizeof(length));
        record.ParseFromArray(block.data() + 8, static_cast<int>(length));
        sequence = sequence_of(record, sequence);
        placed->push_back({sequence, block.substr(0, 8 + length)});
        block.remove_prefix(8 + length);
    }
}

void append(std::string_view bytes, TraceBytes* out) {
    char* to = out->room(bytes.size());
    std::memcpy(to, bytes.data(), bytes.size());
    out->used(to + bytes.size());
}

}  // namespace

// --- Lives

FlightRecorder::Life::Life(size_t bytes_max)
    : TraceRecorder(PayloadDetail::kContent, PayloadDetail::kMeasured), bytes_max_(bytes_max) {}

FlightRecorder::Life::~Life() = default;

TraceBytes& FlightRecorder::Life::bytes() {
    if (blocks_.empty()) blocks_.emplace_back();
    if (blocks_.back().size() >= kBlockBytes) {
        bytes_ += blocks_.back().size();
        if (bytes_ >= bytes_max_) {
            forget_oldest();
        } else {
            blocks_.emplace_back();
        }
    }
    return blocks_.back();
}

// Its memory becomes the newest block. From now on there is no running again, so the fields are enough.
void FlightRecorder::Life::forget_oldest() {
    is_whole_ = false;
    set_detail_of_deliveries(PayloadDetail::kLength);
    bytes_ -= blocks_.front().size();
    if (blocks_.front().size() > 2 * kBlockBytes) {
        blocks_.front() = TraceBytes();  // Grown for one long record: such blocks must not add up.
    } else {
        blocks_.front().clear();
    }
    std::rotate(blocks_.begin(), blocks_.begin() + 1, blocks_.end());
}

bool FlightRecorder::is_kept_in_full(pb::ActorKind actor) {
    switch (actor) {
        case pb::ACTOR_RAFT:
        case pb::ACTOR_LOG:
        case pb::ACTOR_SNAPSHOTS:
        case pb::ACTOR_BOOTSTRAP:
        case pb::ACTOR_ETCD_POLLER:
            return true;
        default:
            return false;
    }
}

ActorRecorder* FlightRecorder::recorder_of(LocalAddress actor) {
    if (!keeps_lives_ || !is_kept_in_full(actor.actor)) return nullptr;
    std::unique_ptr<Life>& life = lives_[actor];
    if (life == nullptr) {
        const bool busy = actor.actor == pb::ACTOR_RAFT || actor.actor == pb::ACTOR_LOG;
        life = std::make_unique<Life>(busy ? kBusyLifeBytes : kQuietLifeBytes);
    }
    return life.get();
}

// --- The last deliveries

FlightRecorder::FlightRecorder() = default;
FlightRecorder::~FlightRecorder() = default;

void FlightRecorder::record(uint64_t sequence, uint64_t now_us, const Message& message) {
    Entry& entry = entries_[count_++ % kEntries];
    const pb::Envelope& envelope = message.envelope();
    entry.sequence = sequence;
    entry.now_us = now_us;
    entry.is_reply = envelope.reply_to() != 0;
    entry.is_remote = !envelope.from_node().empty();
    entry.correlation = entry.is_reply ? envelope.reply_to() : envelope.request_id();
    entry.payload_bytes = static_cast<uint32_t>(std::min<size_t>(message.payload.size(), UINT32_MAX));
    entry.from_actor = static_cast<int16_t>(envelope.from_actor());
    entry.to_actor = static_cast<int16_t>(envelope.to_actor());
    entry.from_instance = static_cast<uint16_t>(envelope.from_instance());
    entry.to_instance = static_cast<uint16_t>(envelope.to_instance());
    entry.body = static_cast<int16_t>(envelope.body_case());
}

std::string FlightRecorder::dump() const {
    std::string text;
    const uint64_t first = count_ > kEntries ? count_ - kEntries : 0;
    for (uint64_t i = first; i < count_; i++) {
        const Entry& entry = entries_[i % kEntries];
        const auto* field = pb::Envelope::descriptor()->FindFieldByNumber(entry.body);
        str_append(&text, entry.sequence, " t=", entry.now_us, "us ", entry.is_remote ? "remote " : "",
                   actor_name(static_cast<pb::ActorKind>(entry.from_actor)), " -> ",
                   actor_name(static_cast<pb::ActorKind>(entry.to_actor)), " ",
                   field == nullptr ? "empty" : field->name(),
                   entry.correlation == 0 ? ""
                   : entry.is_reply       ? " reply_to="
                                          : " request=",
                   entry.correlation == 0 ? std::string() : std::to_string(entry.correlation),
                   " payload=", entry.payload_bytes, "\n");
    }
    return text;
}

// --- As a trace

namespace {

// A body of that kind, with no fields.
void set_empty_body(int number, pb::Envelope* envelope) {
    const auto* field = pb::Envelope::descriptor()->FindFieldByNumber(number);
    if (field != nullptr && field->containing_oneof() != nullptr) {
        pb::Envelope::GetReflection()->MutableMessage(envelope, field);
    }
}

}  // namespace

// Of the actors whose life is not kept.
TraceBytes FlightRecorder::summaries() const {
    TraceBytes out;
    for (uint64_t i = count_ > kEntries ? count_ - kEntries : 0; i < count_; i++) {
        const Entry& entry = entries_[i % kEntries];
        if (lives_.contains({static_cast<pb::ActorKind>(entry.to_actor), entry.to_instance})) continue;
        pb::TraceRecord record;
        pb::TraceDeliver* deliver = record.mutable_deliver();
        deliver->set_sequence(entry.sequence);
        deliver->set_now_us(entry.now_us);
        deliver->set_is_summary(true);
        if (entry.payload_bytes != 0) deliver->mutable_payload()->set_length(entry.payload_bytes);
        pb::Envelope* envelope = deliver->mutable_envelope();
        envelope->set_from_actor(static_cast<pb::ActorKind>(entry.from_actor));
        envelope->set_from_instance(entry.from_instance);
        envelope->set_to_actor(static_cast<pb::ActorKind>(entry.to_actor));
        envelope->set_to_instance(entry.to_instance);
        if (entry.is_remote) envelope->set_from_node("?");
        entry.is_reply ? envelope->set_reply_to(entry.correlation) : envelope->set_request_id(entry.correlation);
        set_empty_body(entry.body, envelope);
        encode_record(record, &out);
    }
    return out;
}

TraceBytes FlightRecorder::as_trace(const std::string& node_id, uint64_t root_seed, uint64_t cause,
                                    const std::string& reason) const {
    TraceBytes out;
    pb::TraceRecord header;
    append({kTraceMagic, sizeof(kTraceMagic)}, &out);
    fill_trace_header(node_id, root_seed, &header);
    header.mutable_header()->set_is_flight_recording(true);

    std::vector<Placed> placed;
    for (const auto& [actor, life] : lives_) {
        std::vector<Placed> of_life;
        for (const TraceBytes& block : life->blocks()) place_records(block.view(), &of_life);
        placed.insert(placed.end(), of_life.begin(), of_life.end());
        if (!life->is_whole()) continue;
        pb::TraceActor* whole = header.mutable_header()->add_whole_lives();
        whole->set_actor(actor.actor);
        whole->set_instance(actor.instance);
    }
    encode_record(header, &out);

    const TraceBytes of_others = summaries();
    place_records(of_others.view(), &placed);
    std::stable_sort(placed.begin(), placed.end(),
                     [](const Placed& a, const Placed& b) { return a.sequence < b.sequence; });
    for (const Placed& record : placed) append(record.bytes, &out);

    pb::TraceRecord stop;
    stop.mutable_stop()->set_cause(cause);
    stop.mutable_stop()->set_reason(reason);
    encode_record(stop, &out);
    return out;
}

std::string write_flight_recording(const std::string& directory, uint64_t wall_us, const TraceBytes& trace,
                                   std::string* error) {
    const std::time_t seconds = static_cast<std::time_t>(wall_us / 1'000'000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    const std::string path = str_cat(directory, "/",
                                     str_format("flight-%04d%02d%02dT%02d%02d%02d.%06uZ.trace", parts.tm_year + 1900,
                                                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                                                parts.tm_sec, static_cast<unsigned>(wall_us % 1'000'000)));
    {
        const std::unique_ptr<TraceFile> file = TraceFile::create(path, false, error);
        if (file == nullptr) return "";
        file->write_now(trace.view());
        *error = file->problem();
        if (!error->empty()) return "";
    }
    // A node that dies again and again must not fill the disk. Names sort by time.
    std::vector<std::filesystem::path> recordings;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
        const std::string name = entry.path().filename();
        if (name.starts_with("flight-") && name.ends_with(".trace")) recordings.push_back(entry.path());
    }
    std::sort(recordings.begin(), recordings.end());
    for (size_t i = 0; i + kRecordingsKept < recordings.size(); i++) std::filesystem::remove(recordings[i], ignored);
    return path;
}

}  // namespace sandstore
