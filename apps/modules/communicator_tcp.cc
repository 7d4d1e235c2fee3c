// COMMUNICATOR=tcp: framed protobuf messages over TCP.
#include "apps/modules/modules.h"
#include "net/wire.h"

namespace sandstore {

const Module& communicator_module() {
    static const Module kModule = {.option = "COMMUNICATOR", .value = "tcp"};
    return kModule;
}

std::unique_ptr<Wire> make_wire(WireSide side, const FrameLimits& limits, const std::string& remote) {
    return make_frame_wire(side, limits, remote);
}

}  // namespace sandstore
