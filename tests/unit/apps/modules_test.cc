#include "apps/modules/modules.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/flags.h"

namespace sandstore {
namespace {

// This test is linked with the modules of the default build.
TEST(Modules, what_this_build_lacks_is_what_others_have) {
    std::vector<std::string> absent;
    for (const AbsentFlag& flag : absent_node_flags()) absent.push_back(std::string(flag.name) + " " + flag.why);
    EXPECT_EQ(absent, std::vector<std::string>{"chunk_memory needs CHUNK_STORE=memory; this build has disk"});
    EXPECT_EQ(why_command_is_absent("cluster init"), "");
    EXPECT_EQ(why_command_is_absent("trace"), "");
    EXPECT_EQ(why_command_is_absent("backup"), "");
    EXPECT_EQ(why_command_is_absent("nonsense"), "");
}

TEST(Modules, an_absent_flag_is_explained_and_a_variable_for_it_is_a_warning) {
    const CommandSpec spec = {.name = "node",
                              .absent = {{"etcd_endpoints", "needs DISCOVERY=etcd; this build has static"}}};
    const std::string given[] = {"--etcd-endpoints=a:1"};
    const ParsedCommandLine flag = parse_flags(given, {}, spec);
    EXPECT_EQ(flag.exit_code, 2);
    EXPECT_EQ(flag.error, "sandstore node: --etcd-endpoints needs DISCOVERY=etcd; this build has static");
    const ParsedCommandLine variable =
        parse_flags({}, {{"ETCD_ENDPOINTS", "a:1"}, {"SANDSTORE_ETCD_ENDPOINTS", ""}}, spec);
    EXPECT_FALSE(variable.exit_code);
    ASSERT_EQ(variable.warnings.size(), 1u);
    EXPECT_NE(variable.warnings[0].find("ETCD_ENDPOINTS: --etcd-endpoints needs DISCOVERY=etcd"), std::string::npos);
}

TEST(Modules, each_has_a_name_and_brings_only_flags_that_exist) {
    ASSERT_EQ(modules().size(), 6u);
    for (const Module* module : modules()) {
        EXPECT_FALSE(module->option.empty());
        EXPECT_FALSE(module->value.empty());
        CommandSpec spec = {.name = "node", .groups = {{"All", module->node_flags}}};
        EXPECT_FALSE(parse_flags(std::span<const std::string>(), {}, spec).exit_code);
    }
}

}  // namespace
}  // namespace sandstore
