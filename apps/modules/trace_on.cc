// TRACE=on: a node records what its actors hear and do, always the last of it in memory, and on request all of it in a
// file; `sandstore trace` reads both.
#include <gflags/gflags.h>

#include "apps/modules/modules.h"
#include "apps/sandstore/commands.h"
#include "runtime/dispatcher.h"
#include "runtime/flight_recorder.h"
#include "runtime/text.h"
#include "runtime/trace_file.h"
#include "runtime/trace_writer.h"

DEFINE_string(trace_file, "", "record every message of this node's actors in this file");
DEFINE_bool(trace_content, false, "record file data too, not only its length and checksum");

namespace sandstore {

namespace {

class FileRecording final : public Recording {
 public:
    FileRecording(std::unique_ptr<TraceWriter> writer, std::string path)
        : writer_(std::move(writer)), path_(std::move(path)) {}
    std::string save(const Dispatcher&) override { return str_cat("trace: ", path_); }

 private:
    std::unique_ptr<TraceWriter> writer_;
    std::string path_;
};

class FlightRecording final : public Recording {
 public:
    FlightRecording(Dispatcher& dispatcher, std::string directory) : directory_(std::move(directory)) {
        recorder_.keep_lives();
        dispatcher.set_recorder(&recorder_);
    }
    std::string save(const Dispatcher& dispatcher) override {
        std::string error;
        const TraceBytes trace = recorder_.as_trace(dispatcher.node_id(), dispatcher.root_seed(),
                                                    dispatcher.stop_cause(), dispatcher.stop_reason().value_or(""));
        const std::string path = write_flight_recording(directory_, dispatcher.wall_us(), trace, &error);
        return path.empty() ? error : str_cat("flight recording: ", path);
    }

 private:
    FlightRecorder recorder_;
    std::string directory_;
};

void read_flags(NodeOptions* options) {
    options->trace_file = FLAGS_trace_file;
    options->trace_content = FLAGS_trace_content;
}

}  // namespace

const Module& trace_module() {
    static const Module kModule = {
        .option = "TRACE",
        .value = "on",
        .node_flags = {"trace_file", "trace_content"},
        .read_flags = read_flags,
        .commands = {{"trace", trace_command, "look at a recorded trace: print, stat, diff, replay, sequence"}},
    };
    return kModule;
}

std::unique_ptr<Recording> begin_recording(Dispatcher& dispatcher, const NodeOptions& options, std::string* error) {
    if (options.trace_file.empty()) return std::make_unique<FlightRecording>(dispatcher, options.data_directory);
    if (!keep_earlier_trace(options.trace_file, error)) return nullptr;
    std::unique_ptr<TraceWriter> writer = TraceWriter::open(
        options.trace_file, options.node_id, dispatcher.root_seed(), error, TraceWriter::Writing::kInBackground,
        options.trace_content ? PayloadDetail::kAll : PayloadDetail::kContent);
    if (writer == nullptr) return nullptr;
    dispatcher.set_recorder(writer.get());
    return std::make_unique<FileRecording>(std::move(writer), options.trace_file);
}

}  // namespace sandstore
