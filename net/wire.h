// How messages travel on a connection: as frames one after another, or as frames inside the bodies of an HTTP/1.1
// request and its response (http_wire.h). A program has one of the two, chosen when it is linked: make_wire().
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/frame.h"

namespace sandstore {

// What surrounds a frame on the wire, and what is neither message nor frame.
struct WireBytes {
    EncodedFrame frame;
    std::string tail;        // Behind the frame's payload.
    bool is_message = true;  // Else `frame` holds just bytes.
    size_t size() const { return frame.size() + tail.size(); }
};

// One connection's way to turn messages into bytes and back. The base: frames as they are.
class Wire {
 public:
    explicit Wire(const FrameLimits& limits) : decoder_(limits) {}
    virtual ~Wire() = default;

    // --- Reading, as FrameDecoder has it
    virtual std::span<const iovec> space(size_t bytes_max) { return decoder_.space(bytes_max); }
    virtual void received(size_t bytes) { decoder_.received(bytes); }
    virtual FrameDecoder::Next next(uint64_t now_us, Message* message) { return decoder_.next(now_us, message); }
    virtual bool mid_frame() const { return decoder_.mid_frame(); }
    virtual std::string_view error() const { return to_string(decoder_.error()); }  // As in metrics.
    void set_limits(const FrameLimits& limits) { decoder_.set_limits(limits); }
    size_t memory_wanted() const { return decoder_.memory_wanted(); }
    void give_memory(MemoryCharge charge) { decoder_.give_memory(std::move(charge)); }

    // --- Writing

    // What has to be sent besides messages: to be asked after making, and after each next(), and sent in front of
    // whatever is queued later.
    virtual std::string take_output() { return ""; }
    // Puts around a frame what belongs there. `message` is what it was made from, its payload gone.
    virtual void wrap(const Message&, WireBytes*) {}
    virtual std::string farewell() { return ""; }    // The last bytes, when the connection ends in good order.
    virtual bool finished() const { return false; }  // The other side wants no more than what is queued.

 protected:
    FrameDecoder decoder_;
};

enum class WireSide { kDialled, kAccepted };

// `remote` is the address that was dialled.
using WireMaker = std::unique_ptr<Wire> (*)(WireSide side, const FrameLimits& limits, const std::string& remote);

std::unique_ptr<Wire> make_frame_wire(WireSide side, const FrameLimits& limits, const std::string& remote);

// This program's own: apps/modules/communicator_<value>.cc defines it. Programs without modules, such as tests, get the
// one in default_wire.cc from the library.
std::unique_ptr<Wire> make_wire(WireSide side, const FrameLimits& limits, const std::string& remote);

}  // namespace sandstore
