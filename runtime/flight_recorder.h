// What happened lately, always on, in bounded memory, for when the node dies. Of every actor it has the last few
// thousand deliveries without their fields, at the cost of a few stores each. Of the actors that consensus and
// discovery depend on it has everything from their start, so that they can be run again; once that no longer fits, the
// last deliveries with their fields.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "runtime/trace_recorder.h"

namespace sandstore {

class FlightRecorder final : public NodeRecorder {
 public:
    static constexpr size_t kEntries = 4096;

    FlightRecorder();
    ~FlightRecorder() override;

    void record(uint64_t sequence, uint64_t now_us, const Message& message) override;
    // Whether this actor is recorded in full when keep_lives() was called.
    static bool is_kept_in_full(pb::ActorKind actor);
    // Begins to keep full records, from here on: before the first delivery, and before the dispatcher knows it.
    void keep_lives() { keeps_lives_ = true; }

    // The full records of one actor.
    class Life final : public TraceRecorder {
     public:
        explicit Life(size_t bytes_max);
        ~Life() override;
        bool is_whole() const { return is_whole_; }
        bool wants_effects() const override { return is_whole_; }
        const std::vector<TraceBytes>& blocks() const { return blocks_; }  // Oldest first.

     private:
        TraceBytes& bytes() override;
        void forget_oldest();

        const size_t bytes_max_;
        std::vector<TraceBytes> blocks_;
        size_t bytes_ = 0;  // Of all blocks but the last.
        bool is_whole_ = true;
    };
    ActorRecorder* recorder_of(LocalAddress actor) override;
    void node_stopped(uint64_t, const std::string&) override {}  // as_trace() is told.
    void flush_when_due(uint64_t) override {}
    std::string problem() const override { return ""; }

    std::string dump() const;  // One line a delivery, oldest first.
    // As a trace file, with a header that says whose life is whole. `cause` and `reason`: of the node's end.
    TraceBytes as_trace(const std::string& node_id, uint64_t root_seed, uint64_t cause,
                        const std::string& reason) const;

 private:
    struct Entry {
        uint64_t sequence;
        uint64_t now_us;
        uint64_t correlation;
        uint32_t payload_bytes;
        int16_t from_actor;
        int16_t to_actor;
        uint16_t from_instance;
        uint16_t to_instance;
        int16_t body;
        bool is_reply;
        bool is_remote;
    };
    TraceBytes summaries() const;

    std::array<Entry, kEntries> entries_;
    uint64_t count_ = 0;
    bool keeps_lives_ = false;
    std::map<LocalAddress, std::unique_ptr<Life>> lives_;
};

// Writes what the recorder holds into `directory` as flight-<time>.trace, keeps the newest few such files there, and
// gives the path; empty, with a sentence in `error`, when it cannot be written.
std::string write_flight_recording(const std::string& directory, uint64_t wall_us, const TraceBytes& trace,
                                   std::string* error);

}  // namespace sandstore
