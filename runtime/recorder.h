// Who records what the actors of a node hear and do. The dispatcher knows no more than these two: a program that is
// built without recording (TRACE=off) holds no code for it. With: trace_writer.h, flight_recorder.h.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/message.h"

namespace sandstore {

// Of one actor, or of all.
class ActorRecorder {
 public:
    virtual ~ActorRecorder() = default;
    // Before the actor has the message. `sequence` becomes the `cause` of the effects that follow.
    virtual void deliver(uint64_t sequence, uint64_t now_us, uint64_t wall_us, uint64_t draws,
                         const Message& message) = 0;
    virtual bool wants_effects() const { return true; }  // Of this delivery: the calls that follow.
    virtual void send(uint64_t cause, uint32_t ordinal, const Message& message) = 0;
    virtual void arm_timer(uint64_t cause, uint32_t ordinal, uint64_t timer, uint32_t tag, uint64_t data,
                           uint64_t delay_us) = 0;
    virtual void cancel_timer(uint64_t cause, uint32_t ordinal, uint64_t timer) = 0;
    virtual void fail_stop(uint64_t cause, uint32_t ordinal, const std::string& reason) = 0;
    virtual void restart(LocalAddress actor, uint32_t incarnation, const std::string& reason) = 0;
};

class NodeRecorder {
 public:
    virtual ~NodeRecorder() = default;
    // Asked once for each actor. Null: of this one only record() is wanted.
    virtual ActorRecorder* recorder_of(LocalAddress actor) = 0;
    virtual void record(uint64_t sequence, uint64_t now_us, const Message& message) = 0;
    virtual void node_stopped(uint64_t cause, const std::string& reason) = 0;  // A broken invariant or a fail-stop.
    virtual void flush_when_due(uint64_t now_us) = 0;
    // A sentence once nothing more can be recorded. Empty: all is well.
    virtual std::string problem() const = 0;
};

}  // namespace sandstore
