// DISCOVERY=static: the members are those of --peers.
#include "apps/modules/modules.h"

namespace sandstore {

namespace {

std::string check(const NodeOptions& options) {
    return options.peers.empty() && !options.single_node ? "no way to find the members: give --peers" : "";
}

}  // namespace

const Module& discovery_module() {
    static const Module kModule = {.option = "DISCOVERY", .value = "static", .check = check};
    return kModule;
}

}  // namespace sandstore
