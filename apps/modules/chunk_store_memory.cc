// CHUNK_STORE=memory: chunks are kept in memory, up to a bound, and gone when the process ends. The other nodes then
// still have their copies, and the Repairer brings this node's back. Log and snapshots are on disk as ever.
#include <gflags/gflags.h>

#include "apps/modules/modules.h"
#include "runtime/event_runtime.h"
#include "runtime/memory_port.h"

DEFINE_string(chunk_memory, "1GiB", "memory for this node's copies of file data; what does not fit is refused");

namespace sandstore {

namespace {

const FlagRule kChunkMemoryRule("chunk_memory", size_between(1 << 20, uint64_t{1} << 40));

void add_to_node(EventRuntime& runtime, const NodeOptions&) {
    const LocalAddress port{pb::PORT_CHUNK_DISK};
    runtime.own_port(port, std::make_unique<MemoryPort>(runtime.base(), runtime.dispatcher(), port,
                                                        parse_size(FLAGS_chunk_memory).value()));
}

// Chunks take nothing of the disk that the log is on.
void read_flags(NodeOptions* options) {
    options->chunks_on_disk = false;
}

// Nobody shall find out from lost files.
void start(Dispatcher& dispatcher, const NodeOptions& options) {
    dispatcher.logger().write(
        LogLevel::kWarning, dispatcher.wall_us(), "main",
        options.single_node ? "File data is in memory only: a restart loses it, and no other node has a copy"
                            : "File data is in memory only: a restart of this node loses its copies, of all nodes all",
        {{"chunk_memory", FLAGS_chunk_memory}});
}

}  // namespace

const Module& chunk_store_module() {
    static const Module kModule = {
        .option = "CHUNK_STORE",
        .value = "memory",
        .node_flags = {"chunk_memory"},
        .read_flags = read_flags,
        .add_to_node = add_to_node,
        .start = start,
    };
    return kModule;
}

}  // namespace sandstore
