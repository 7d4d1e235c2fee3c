#include "runtime/trace_writer.h"

#include "messages/trace.pb.h"
#include "runtime/trace_file.h"

namespace sandstore {

namespace {

constexpr size_t kFlushBytes = 256 << 10;
constexpr size_t kFlushEarlyBytes = 64 << 10;
constexpr uint64_t kFlushIntervalUs = 20'000;

}  // namespace

TraceWriter::TraceWriter(std::unique_ptr<TraceFile> file, Writing writing, PayloadDetail detail)
    : TraceRecorder(detail, detail), file_(std::move(file)), writing_(writing) {}

TraceWriter::~TraceWriter() {
    flush();
}

std::unique_ptr<TraceWriter> TraceWriter::open(const std::string& path, const std::string& node_id, uint64_t root_seed,
                                               std::string* error, Writing writing, PayloadDetail detail) {
    std::unique_ptr<TraceFile> file = TraceFile::create(path, writing == Writing::kInBackground, error);
    if (file == nullptr) return nullptr;
    std::unique_ptr<TraceWriter> writer(new TraceWriter(std::move(file), writing, detail));
    append_trace_start(node_id, root_seed, &writer->buffer_);
    writer->flush();
    return writer;
}

TraceBytes& TraceWriter::bytes() {
    if (buffer_.size() >= kFlushBytes) flush();
    return buffer_;
}

void TraceWriter::flush() {
    if (buffer_.size() != 0) file_->append(&buffer_);
}

void TraceWriter::flush_when_due(uint64_t now_us) {
    const bool due =
        writing_ == Writing::kInPlace || buffer_.size() >= kFlushEarlyBytes || now_us - flushed_us_ >= kFlushIntervalUs;
    if (!due) return;
    flushed_us_ = now_us;
    flush();
}

void TraceWriter::node_stopped(uint64_t cause, const std::string& reason) {
    stopped(cause, reason);
    flush();
}

std::string TraceWriter::problem() const {
    return file_->problem();
}

}  // namespace sandstore
