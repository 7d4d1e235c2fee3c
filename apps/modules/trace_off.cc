// TRACE=off: nothing is recorded.
#include "apps/modules/modules.h"

namespace sandstore {

const Module& trace_module() {
    static const Module kModule = {.option = "TRACE", .value = "off"};
    return kModule;
}

std::unique_ptr<Recording> begin_recording(Dispatcher&, const NodeOptions&, std::string*) {
    return nullptr;
}

}  // namespace sandstore
