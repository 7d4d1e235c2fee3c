// COMMUNICATOR=tcp: framed protobuf messages over TCP.
#include "apps/modules/modules.h"

namespace sandstore {

const Module& communicator_module() {
    static const Module kModule = {.option = "COMMUNICATOR", .value = "tcp"};
    return kModule;
}

}  // namespace sandstore
