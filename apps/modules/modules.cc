#include "apps/modules/modules.h"

#include <array>

#include "runtime/text.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

// What some builds have and others lack. modules_test.cc holds it against the modules themselves.
struct Belonging {
    std::string_view name;  // A flag of `sandstore node`, or a command.
    std::string_view option;
    std::string_view value;
};

constexpr Belonging kFlags[] = {
    {"etcd_endpoints", "DISCOVERY", "etcd"},
    {"poll_interval", "DISCOVERY", "etcd"},
    {"auto_join", "DISCOVERY", "etcd"},
    {"join", "REPLICATOR", "raft"},
    {"rejoin", "REPLICATOR", "raft"},
    {"election_timeout", "REPLICATOR", "raft"},
    {"heartbeat_interval", "REPLICATOR", "raft"},
    {"election_priority", "REPLICATOR", "raft"},
    {"lease_reads", "REPLICATOR", "raft"},
    {"copies", "REPLICATOR", "raft"},
    {"chunk_memory", "CHUNK_STORE", "memory"},
    {"trace_file", "TRACE", "on"},
    {"trace_content", "TRACE", "on"},
};

constexpr Belonging kCommands[] = {
    {"cluster init", "DISCOVERY", "etcd"},
    {"cluster recover", "REPLICATOR", "raft"},
    {"trace", "TRACE", "on"},
    {"demo", "TOOLS", "all"},
    {"top", "TOOLS", "all"},
    {"doctor", "TOOLS", "all"},
    {"backup", "TOOLS", "all"},
    {"bench", "TOOLS", "all"},
};

// Empty when this build has it.
std::string why_absent(const Belonging& belonging) {
    for (const Module* module : modules()) {
        if (module->option != belonging.option || module->value == belonging.value) continue;
        return str_cat("needs ", belonging.option, "=", belonging.value, "; this build has ", module->value);
    }
    return "";
}

}  // namespace

std::span<const Module* const> modules() {
    static const std::array<const Module*, 6> kModules = {&communicator_module(), &discovery_module(),
                                                          &replicator_module(),   &chunk_store_module(),
                                                          &trace_module(),        &tools_module()};
    return kModules;
}

std::vector<AbsentFlag> absent_node_flags() {
    std::vector<AbsentFlag> absent;
    for (const Belonging& flag : kFlags) {
        if (std::string why = why_absent(flag); !why.empty()) absent.push_back({flag.name, std::move(why)});
    }
    return absent;
}

std::string why_command_is_absent(std::string_view command) {
    for (const Belonging& belonging : kCommands) {
        if (belonging.name == command) return why_absent(belonging);
    }
    return "";
}

}  // namespace sandstore
