#include "net/wire.h"

namespace sandstore {

std::unique_ptr<Wire> make_frame_wire(WireSide, const FrameLimits& limits, const std::string&) {
    return std::make_unique<Wire>(limits);
}

}  // namespace sandstore
