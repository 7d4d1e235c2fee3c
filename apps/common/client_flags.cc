#include "apps/common/client_flags.h"

#include <gflags/gflags.h>

#include <cstdio>

#include "apps/terminal/units.h"
#include "runtime/one_line.h"

DEFINE_string(servers, "", "any nodes of the cluster; the leader is found (none: this machine's ports 8080 to 8083)");
DEFINE_string(timeout, "15s", "how long one operation may take");
DEFINE_bool(read_any_node, false, "read the namespace from all nodes in turn, not only from the leader; as fresh");
DEFINE_bool(json, false, "print JSON");

namespace sandstore {

namespace {

const FlagRule kServersRule("servers", host_and_port_list());
const FlagRule kTimeoutRule("timeout", duration_between(1'000, 3'600'000'000));

constexpr const char* kServersOfThisMachine[] = {"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082",
                                                 "127.0.0.1:8083"};

}  // namespace

FlagGroup cluster_flags() {
    return {"Cluster", {"servers", "timeout", "read_any_node"}};
}

std::vector<std::string> servers_from_flags() {
    std::vector<std::string> servers = split_servers(FLAGS_servers);
    for (std::string& server : servers) {
        if (server.starts_with("http://")) server.erase(0, 7);
        if (server.ends_with('/')) server.pop_back();
    }
    if (servers.empty()) servers.assign(std::begin(kServersOfThisMachine), std::end(kServersOfThisMachine));
    return servers;
}

ClientOptions client_options_from_flags() {
    ClientOptions options;
    options.servers = servers_from_flags();
    options.timeout_us = parse_duration_us(FLAGS_timeout).value_or(options.timeout_us);
    options.read_any_node = FLAGS_read_any_node;
    options.on_silence = [](const std::string& sentence) {
        std::fprintf(stderr, "sandstore: %s\n", one_line(sentence).c_str());
    };
    return options;
}

}  // namespace sandstore
