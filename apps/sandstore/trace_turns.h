// A trace as turns: what an actor was handed, with what it did then; restarts and the node's end between them. And the
// choice of turns that the trace commands share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "apps/sandstore/trace_text.h"
#include "messages/trace.pb.h"
#include "runtime/trace_reader.h"

namespace sandstore {

struct TraceTurn {
    pb::TraceRecord head;  // A TraceDeliver, a TraceRestart or a TraceStop.
    std::vector<pb::TraceEffect> effects;

    const pb::TraceDeliver& delivery() const { return head.deliver(); }
    const pb::Envelope& envelope() const { return head.deliver().envelope(); }
};

class TurnReader {
 public:
    // Null, with a sentence in `error`, when there is no trace at that path.
    static std::unique_ptr<TurnReader> open(const std::string& path, std::string* error);

    const pb::TraceHeader& header() const { return trace_->header(); }
    bool next(TraceTurn* turn);
    // After the last turn. A cut-off end is normal for a process that was killed: a note. Damage is a problem.
    const std::string& note() const { return note_; }
    const std::string& problem() const { return problem_; }

 private:
    explicit TurnReader(std::unique_ptr<TraceReader> trace, std::string path)
        : trace_(std::move(trace)), path_(std::move(path)) {}
    bool read();

    std::unique_ptr<TraceReader> trace_;
    std::string path_;
    std::optional<pb::TraceRecord> ahead_;
    bool ended_ = false;
    std::string note_;
    std::string problem_;
};

// A place in a trace: a delivery's number, or a time since the first delivery.
struct TracePlace {
    std::optional<uint64_t> sequence;
    std::optional<uint64_t> time_us;
};
// "1200", "1.5s", "300ms".
std::optional<TracePlace> parse_trace_place(std::string_view text);

class TurnSelection {
 public:
    std::optional<LocalAddress> actor;
    std::string peer;                // Another node, as sender or as receiver.
    std::vector<std::string> types;  // Of bodies, delivered or sent.
    TracePlace from;
    TracePlace to;
    std::optional<std::regex> pattern;  // In a line that print would show.

    bool wants(const TraceTurn& turn, TraceText& text);

 private:
    bool in_slice(const pb::TraceDeliver& delivery);
    bool has_peer(const TraceTurn& turn) const;
    bool has_type(const TraceTurn& turn, TraceText& text) const;
    bool matches(const TraceTurn& turn, TraceText& text) const;

    std::optional<uint64_t> first_us_;
};

}  // namespace sandstore
