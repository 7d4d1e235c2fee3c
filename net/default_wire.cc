// The wire of programs that chose none. Alone in this file, so that the linker takes it from the library only then.
#include "net/wire.h"

namespace sandstore {

std::unique_ptr<Wire> make_wire(WireSide side, const FrameLimits& limits, const std::string& remote) {
    return make_frame_wire(side, limits, remote);
}

}  // namespace sandstore
