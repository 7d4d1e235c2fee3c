// COMMUNICATOR=http: the frames of tcp inside HTTP/1.1 bodies.
#include "apps/modules/modules.h"
#include "net/http_wire.h"

namespace sandstore {

const Module& communicator_module() {
    static const Module kModule = {.option = "COMMUNICATOR", .value = "http"};
    return kModule;
}

std::unique_ptr<Wire> make_wire(WireSide side, const FrameLimits& limits, const std::string& remote) {
    return make_http_wire(side, limits, remote);
}

}  // namespace sandstore
