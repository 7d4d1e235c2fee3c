// TOOLS=basic: nothing that does not run or use a cluster.
#include "apps/modules/modules.h"

namespace sandstore {

const Module& tools_module() {
    static const Module kModule = {.option = "TOOLS", .value = "basic"};
    return kModule;
}

}  // namespace sandstore
