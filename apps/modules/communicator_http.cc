// COMMUNICATOR=http
#include "apps/modules/modules.h"
namespace sandstore {
const Module& communicator_module() {
    static const Module kModule = {.option = "COMMUNICATOR", .value = "http"};
    return kModule;
}
}  // namespace sandstore
