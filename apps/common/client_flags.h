// The flags of every command that talks to a cluster as a client.
#pragma once

#include <gflags/gflags_declare.h>

#include "client/client.h"
#include "runtime/flags.h"

DECLARE_string(servers);
DECLARE_string(timeout);
DECLARE_bool(json);

namespace sandstore {

// --servers, --timeout and --read-any-node, for the spec of a command.
FlagGroup cluster_flags();

// After parse_flags. Without --servers: where a node or the demo listens on this machine.
std::vector<std::string> servers_from_flags();
ClientOptions client_options_from_flags();

}  // namespace sandstore
