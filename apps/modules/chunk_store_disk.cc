// CHUNK_STORE=disk: chunks stand in volumes on the disk.
#include "apps/modules/modules.h"
#include "runtime/event_runtime.h"
#include "runtime/thread_disk.h"

namespace sandstore {

namespace {

constexpr int kThreads = 4;

void add_to_node(EventRuntime& runtime, const NodeOptions& options) {
    const LocalAddress port{pb::PORT_CHUNK_DISK};
    runtime.own_port(port, std::make_unique<ThreadDisk>(runtime.base(), runtime.dispatcher(), port,
                                                        options.data_directory, kThreads, options.faults));
}

}  // namespace

const Module& chunk_store_module() {
    static const Module kModule = {.option = "CHUNK_STORE", .value = "disk", .add_to_node = add_to_node};
    return kModule;
}

}  // namespace sandstore
