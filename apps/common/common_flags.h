// Flags of nodes that more than one command takes, defined once. Those of clients: client_flags.h.
#pragma once

#include <gflags/gflags_declare.h>

#include <string>
#include <vector>

DECLARE_string(log_level);
DECLARE_string(log_format);

namespace sandstore {

// "a:1,b:2" as {"a:1", "b:2"}, without "http://".
std::vector<std::string> split_list(const std::string& text);

}  // namespace sandstore
