// sandstore version: which software this is, and what it was made of.
#include <gflags/gflags.h>
#include <json/json.h>

#include <cstdio>

#include "apps/common/client_flags.h"
#include "apps/sandstore/commands.h"
#include "runtime/flags.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

const CommandSpec& spec() {
    static const CommandSpec kSpec = {
        .name = "version",
        .summary = "Which software this is, and what it was made of (docs/builds.md).",
        .usage = "sandstore version [flags]",
        .groups = {{"Output", {"json"}}},
    };
    return kSpec;
}

void print_json() {
    Json::Value version;
    version["version"] = version_number();
    version["commit"] = version_commit();
    version["profile"] = build_profile();
    version["modules"] = Json::objectValue;
    for (const auto& [option, value] : build_modules()) version["modules"][option] = value;
    Json::StreamWriterBuilder style;
    style["indentation"] = "";
    std::printf("%s\n", Json::writeString(style, version).c_str());
}

}  // namespace

int version_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec());
    if (parsed.exit_code) return finish(parsed);
    if (FLAGS_json) {
        print_json();
        return 0;
    }
    std::printf("sandstore %s\nprofile %s\n", version_text().c_str(), build_profile().c_str());
    for (const auto& [option, value] : build_modules()) std::printf("  %s=%s\n", option.c_str(), value.c_str());
    return 0;
}

}  // namespace sandstore
