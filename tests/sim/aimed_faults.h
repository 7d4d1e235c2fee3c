// Faults that happen exactly at a message: the n-th one of its kind from some moment on, just after its receiver has
// handled it, before anything else happens. What was sent by then is on its way, what was not is never sent: moments
// that faults at random times hardly ever meet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "tests/sim/schedule.h"

namespace sandstore {

// kAimed's argument `message`: its place in this list.
struct AimedMessage {
    std::string_view name;
    bool (*is_it)(const Message& message);
};
const std::vector<AimedMessage>& aimed_messages();
inline constexpr uint64_t kAimedMessages = 20;  // That are drawn at random, the first ones.

// kAimed's argument `how`.
enum class AimedHow : uint8_t {
    kKillReceiver,
    kPowerCutReceiver,
    kPowerCutSender,
    kIsolateReceiver,
    kIsolateLeader,
    kPauseReceiver,
    kPowerCutLeader,
    kHangReceiversDisk,
    kIsolateSender,
};
inline constexpr uint64_t kAimedHows = 8;       // That are drawn for all messages,
inline constexpr uint64_t kAimedHowsKnown = 9;  // and that a schedule may name.

class AimedFaults {
 public:
    struct Shot {
        AimedHow how;
        std::string receiver;
        std::string sender;  // Of messages between nodes; otherwise the receiver.
        uint64_t for_us;
    };

    // `receiver` empty: any node.
    void aim(const SimEvent& event, const std::string& receiver);
    void on_deliver(const std::string& id, const Message& message);
    // What has been hit since it was asked last.
    std::vector<Shot> take_shots() { return std::exchange(shots_, {}); }

 private:
    struct Aim {
        size_t message;
        uint64_t left;
        std::string receiver;
        AimedHow how;
        uint64_t for_us;
    };
    std::vector<Aim> aims_;
    std::vector<Shot> shots_;
};

}  // namespace sandstore
