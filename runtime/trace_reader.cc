#include "runtime/trace_reader.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "messages/trace.pb.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"
#include "runtime/trace_writer.h"

namespace sandstore {

TraceReader::TraceReader() : header_(std::make_unique<pb::TraceHeader>()) {}
TraceReader::~TraceReader() = default;

std::unique_ptr<TraceReader> TraceReader::open(const std::string& path, std::string* error) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        *error = str_cat("cannot read ", path, ": ", std::strerror(errno));
        return nullptr;
    }
    std::unique_ptr<TraceReader> reader(new TraceReader);
    reader->bytes_.assign(std::istreambuf_iterator<char>(file), {});
    if (reader->bytes_.compare(0, sizeof(kTraceMagic), kTraceMagic, sizeof(kTraceMagic)) != 0) {
        *error = str_cat(path, " is not a trace file");
        return nullptr;
    }
    reader->position_ = sizeof(kTraceMagic);
    pb::TraceRecord first;
    const Outcome outcome = reader->next(&first);
    if (outcome != Outcome::kRecord || !first.has_header()) {
        *error = str_cat(path, ": the header is ", outcome == Outcome::kCutOff ? "cut off" : "damaged", " at offset ",
                         reader->offset());
        return nullptr;
    }
    if (first.header().format_version() != kTraceFormatVersion) {
        *error = str_cat(path, " has trace format ", first.header().format_version(), "; this build reads format ",
                         kTraceFormatVersion);
        return nullptr;
    }
    *reader->header_ = std::move(*first.mutable_header());
    return reader;
}

TraceReader::Outcome TraceReader::next(pb::TraceRecord* record) {
    offset_ = position_;
    const std::string_view rest = std::string_view(bytes_).substr(position_);
    if (rest.empty()) return Outcome::kEnd;
    if (rest.size() < 8) return Outcome::kCutOff;
    uint32_t length = 0;
    uint32_t crc = 0;
    std::memcpy(&length, rest.data(), 4);
    std::memcpy(&crc, rest.data() + 4, 4);
    if (length > kTraceRecordBytesMax) return Outcome::kDamaged;
    if (rest.size() - 8 < length) return Outcome::kCutOff;
    const std::string_view body = rest.substr(8, length);
    if (crc32c(body, crc32c(rest.substr(0, 4))) != crc) return Outcome::kDamaged;
    if (!record->ParseFromArray(body.data(), static_cast<int>(body.size()))) return Outcome::kDamaged;
    position_ += 8 + length;
    return Outcome::kRecord;
}

Payload payload_of(const pb::TracePayload& recorded) {
    if (recorded.has_content()) return Payload::copy_of(recorded.content());
    return Payload(std::string(recorded.length(), '\0'));
}

}  // namespace sandstore
