// The rules of the command line, one by one (runtime/flags.h).
#include "runtime/flags.h"

#include <gflags/gflags.h>
#include <gtest/gtest.h>

#include "runtime/text.h"
#include "runtime/version.h"

DEFINE_string(node_id, "", "Name of this node.");
DEFINE_string(data_dir, "/var/lib/sandstore", "Where this node keeps its data.");
DEFINE_string(listen, ":8080", "Address for peers and clients.");
DEFINE_string(http_listen, ":9400", "Address for health, metrics and status.");
DEFINE_string(etcd_endpoints, "127.0.0.1:2379", "Where etcd answers.");
DEFINE_string(peers, "", "The members, instead of etcd.");
DEFINE_string(log_level, "info", "The least level that is logged.");
DEFINE_string(log_dir, "", "Also write the log there.");
DEFINE_string(servers, "", "Nodes to talk to.");
DEFINE_string(chunk_size, "8MiB", "Size of a chunk.");
DEFINE_int32(copies, 3, "Copies of each chunk.");
DEFINE_uint64(limit, 10, "How many.");
DEFINE_double(ratio, 0.5, "A ratio.");
DEFINE_bool(verify, true, "Whether to verify.");
DEFINE_bool(recursive, false, "With all below.");

namespace sandstore {
namespace {

const FlagRule kLogLevelRule("log-level", one_of({"debug", "info", "warn", "error"}));
const FlagRule kCopiesRule("copies", number_between(1, 7));
const FlagRule kListenRule("listen", listen_address());
const FlagRule kPeerRule("etcd-endpoints", host_and_port_list());
const FlagRule kServersRule("servers", host_and_port_list());
const FlagRule kChunkSizeRule("chunk-size", size_between(64 << 10, 8 << 20));

CommandSpec node_spec() {
    return {.name = "node",
            .summary = "Runs one node.",
            .usage = "sandstore node --node-id=ID [flags]",
            .groups = {{"Node", {"node-id", "listen", "http-listen", "data-dir"}},
                       {"Discovery", {"etcd-endpoints", "peers"}},
                       {"Files", {"chunk-size", "copies", "verify"}},
                       {"Logging", {"log-level", "log-dir"}}},
            .required = {"node-id"}};
}

CommandSpec list_spec() {
    return {.name = "fs ls",
            .summary = "Lists.",
            .usage = "sandstore fs ls [flags] PATH",
            .groups = {{"Listing", {"servers", "recursive", "limit", "ratio"}}},
            .positionals_min = 1,
            .positionals_max = 1,
            .positionals_name = "PATH",
            .letters = {{'r', "recursive"}, {'n', "limit"}}};
}

using Arguments = std::vector<std::string>;

ParsedCommandLine node(Arguments arguments, Environment environment = {}) {
    arguments.insert(arguments.begin(), "--node-id=node-1");
    return parse_flags(arguments, environment, node_spec());
}

ParsedCommandLine list(const Arguments& arguments, const Environment& environment = {}) {
    return parse_flags(arguments, environment, list_spec());
}

void expect_refused(const ParsedCommandLine& parsed, std::string_view part) {
    EXPECT_EQ(parsed.exit_code, 2);
    EXPECT_NE(parsed.error.find(part), std::string::npos) << parsed.error;
    EXPECT_EQ(parsed.error.find('\n'), std::string::npos) << parsed.error;
    EXPECT_TRUE(parsed.output.empty());
}

TEST(Flags, command_line_beats_environment_beats_default) {
    ASSERT_FALSE(node({}).exit_code);
    EXPECT_EQ(FLAGS_data_dir, "/var/lib/sandstore");
    EXPECT_EQ(flag_source("data-dir"), "default");
    ASSERT_FALSE(node({}, {{"DATA_DIR", "/from/environment"}}).exit_code);
    EXPECT_EQ(FLAGS_data_dir, "/from/environment");
    EXPECT_EQ(flag_source("data-dir"), "environment DATA_DIR");
    ASSERT_FALSE(node({"--data-dir=/from/line"}, {{"DATA_DIR", "/from/environment"}}).exit_code);
    EXPECT_EQ(FLAGS_data_dir, "/from/line");
    EXPECT_EQ(flag_source("data-dir"), "command line");
}

TEST(Flags, messages_can_say_where_a_value_came_from) {
    node({}, {{"PEERS", "x"}});
    EXPECT_EQ(flag_with_source("peers"), "--peers (environment PEERS)");
    node({"--peers=x"});
    EXPECT_EQ(flag_with_source("peers"), "--peers");
}

TEST(Flags, every_parse_starts_from_the_defaults) {
    node({"--copies=5"});
    node({});
    EXPECT_EQ(FLAGS_copies, 3);
}

TEST(Flags, the_command_line_wins_also_when_it_repeats_the_default) {
    ASSERT_FALSE(node({"--copies=3"}, {{"SANDSTORE_COPIES", "5"}}).exit_code);
    EXPECT_EQ(FLAGS_copies, 3);
}

TEST(Flags, hyphens_and_underscores_are_the_same) {
    node({"--data_dir=/a"});
    EXPECT_EQ(FLAGS_data_dir, "/a");
    node({"--data-dir=/b"});
    EXPECT_EQ(FLAGS_data_dir, "/b");
}

TEST(Flags, a_value_follows_after_equals_or_as_the_next_argument) {
    node({"--data-dir", "/a", "--copies", "5"});
    EXPECT_EQ(FLAGS_data_dir, "/a");
    EXPECT_EQ(FLAGS_copies, 5);
    node({"--data-dir=--odd=name"});
    EXPECT_EQ(FLAGS_data_dir, "--odd=name");
}

TEST(Flags, the_last_value_wins) {
    node({"--copies=5", "--copies=2"});
    EXPECT_EQ(FLAGS_copies, 2);
}

TEST(Flags, booleans_are_set_and_cleared_by_name) {
    for (const std::string off : {"--no-verify", "--noverify", "--verify=false", "--verify=0", "--no_verify"}) {
        ASSERT_FALSE(node({off}).exit_code) << off;
        EXPECT_FALSE(FLAGS_verify) << off;
    }
    for (const std::string on : {"--verify", "--verify=true", "--verify=1"}) {
        ASSERT_FALSE(node({"--no-verify", on}).exit_code) << on;
        EXPECT_TRUE(FLAGS_verify) << on;
    }
    expect_refused(node({"--no-verify=true"}), "--no-verify takes no value");
    expect_refused(node({"--no-copies"}), "unknown flag --no-copies");
}

TEST(Flags, a_boolean_never_takes_the_next_argument) {
    const ParsedCommandLine parsed = list({"--recursive", "false"});
    ASSERT_FALSE(parsed.exit_code) << parsed.error;
    EXPECT_TRUE(FLAGS_recursive);
    EXPECT_EQ(parsed.positionals, Arguments{"false"});
}

TEST(Flags, every_flag_reads_its_long_environment_name) {
    const Environment environment = {{"SANDSTORE_DATA_DIR", "/d"},
                                     {"SANDSTORE_COPIES", "1"},
                                     {"SANDSTORE_VERIFY", "false"},
                                     {"SANDSTORE_ETCD_ENDPOINTS", "a:1,b:2"}};
    ASSERT_FALSE(node({}, environment).exit_code);
    EXPECT_EQ(FLAGS_data_dir, "/d");
    EXPECT_EQ(FLAGS_copies, 1);
    EXPECT_FALSE(FLAGS_verify);
    EXPECT_EQ(FLAGS_etcd_endpoints, "a:1,b:2");
}

TEST(Flags, the_short_environment_names_of_the_table_are_read) {
    const Environment environment = {{"NODE_ID", "node-7"},        {"LISTEN_ADDR", ":1"}, {"HTTP_ADDR", ":2"},
                                     {"DATA_DIR", "/d"},           {"PEERS", "x=y:1"},    {"LOG_LEVEL", "debug"},
                                     {"ETCD_ENDPOINTS", "etcd:1"}, {"LOG_DIR", "/logs"}};
    const ParsedCommandLine parsed = parse_flags({}, environment, node_spec());
    ASSERT_FALSE(parsed.exit_code) << parsed.error;
    EXPECT_EQ(FLAGS_node_id, "node-7");
    EXPECT_EQ(FLAGS_listen, ":1");
    EXPECT_EQ(FLAGS_http_listen, ":2");
    EXPECT_EQ(FLAGS_data_dir, "/d");
    EXPECT_EQ(FLAGS_etcd_endpoints, "etcd:1");
    EXPECT_EQ(FLAGS_peers, "x=y:1");
    EXPECT_EQ(FLAGS_log_level, "debug");
    EXPECT_EQ(FLAGS_log_dir, "/logs");
    EXPECT_TRUE(parsed.warnings.empty());
}

TEST(Flags, the_servers_are_read_from_either_name) {
    list({"/"}, {{"SANDSTORE_SERVERS", "a:1"}});
    EXPECT_EQ(FLAGS_servers, "a:1");
    list({"/"}, {{"SANDSTORE_ADDR", "b:1"}});
    EXPECT_EQ(FLAGS_servers, "b:1");
}

TEST(Flags, the_long_environment_name_beats_the_short_one) {
    node({}, {{"SANDSTORE_DATA_DIR", "/long"}, {"DATA_DIR", "/short"}});
    EXPECT_EQ(FLAGS_data_dir, "/long");
}

TEST(Flags, an_empty_variable_counts_as_not_set) {
    ASSERT_FALSE(node({}, {{"SANDSTORE_COPIES", ""}, {"DATA_DIR", ""}}).exit_code);
    EXPECT_EQ(FLAGS_copies, 3);
    EXPECT_EQ(FLAGS_data_dir, "/var/lib/sandstore");
}

TEST(Flags, an_unknown_flag_is_refused_with_the_nearest_one) {
    expect_refused(node({"--lisen=:1"}), "unknown flag --lisen: did you mean --listen?");
    expect_refused(node({"--datadir", "/x"}), "did you mean --data-dir?");
    expect_refused(node({"--etcd=x:1"}), "did you mean --etcd-endpoints?");
    expect_refused(node({"--versoin"}), "did you mean --version?");
}

TEST(Flags, an_unknown_flag_that_resembles_nothing_gets_no_suggestion) {
    const ParsedCommandLine parsed = node({"--banana"});
    expect_refused(parsed, "unknown flag --banana");
    EXPECT_EQ(parsed.error.find("did you mean"), std::string::npos);
}

TEST(Flags, a_flag_of_another_command_is_unknown) {
    expect_refused(node({"--recursive"}), "unknown flag --recursive");
}

TEST(Flags, the_flags_of_gflags_do_not_exist) {
    for (const std::string flag : {"--flagfile=/etc/passwd", "--fromenv=listen", "--tryfromenv=listen", "--undefok=x",
                                   "--helpshort", "--helpfull", "--helpxml", "--tab_completion_word=x"}) {
        expect_refused(node({flag}), "unknown flag --");
    }
}

TEST(Flags, a_bad_value_is_refused_with_what_is_expected) {
    expect_refused(node({"--copies=many"}), "bad value \"many\" for --copies: expected number 1..7");
    expect_refused(node({"--copies=0"}), "expected number 1..7");
    expect_refused(node({"--copies="}), "bad value \"\" for --copies");
    expect_refused(node({"--log-level=loud"}), "expected debug|info|warn|error");
    expect_refused(node({"--verify=maybe"}), "bad value \"maybe\" for --verify: expected true|false");
    expect_refused(list({"--limit=-1", "/"}), "bad value \"-1\" for --limit");
    expect_refused(list({"--limit=99999999999999999999", "/"}), "bad value");
    expect_refused(list({"--ratio=x", "/"}), "expected number");
    expect_refused(node({"--log-level=a\nb"}), "bad value \"a\\nb\"");
}

TEST(Flags, a_bad_value_from_the_environment_names_the_variable) {
    expect_refused(
        node({}, {{"SANDSTORE_COPIES", "many"}}),
        "bad value \"many\" in the environment variable SANDSTORE_COPIES for --copies: expected number 1..7");
    expect_refused(node({}, {{"LOG_LEVEL", "loud"}}), "environment variable LOG_LEVEL for --log-level");
}

TEST(Flags, a_bad_value_in_the_environment_is_of_no_interest_when_the_command_line_has_another) {
    ASSERT_FALSE(node({"--copies=2"}, {{"SANDSTORE_COPIES", "many"}}).exit_code);
    EXPECT_EQ(FLAGS_copies, 2);
}

TEST(Flags, a_missing_value_is_refused) {
    expect_refused(node({"--copies"}), "--copies needs a value: number 1..7");
    expect_refused(node({"--data-dir", "--copies=1"}), "--data-dir needs a value");
}

TEST(Flags, a_missing_required_flag_is_refused_with_all_ways_to_give_it) {
    const ParsedCommandLine parsed = parse_flags({}, {}, node_spec());
    expect_refused(parsed,
                   "sandstore node: missing --node-id: give it on the command line, or as "
                   "SANDSTORE_NODE_ID or NODE_ID in the environment");
    const Arguments empty = {"--node-id="};
    expect_refused(parse_flags(empty, {}, node_spec()), "missing --node-id");
}

TEST(Flags, a_stray_argument_is_refused) {
    expect_refused(node({"server"}), "sandstore node: unexpected argument \"server\"");
    expect_refused(list({"/a", "/b"}), "unexpected argument \"/b\" after PATH");
    expect_refused(list({}), "missing PATH");
}

TEST(Flags, two_hyphens_end_the_flags) {
    const ParsedCommandLine parsed = list({"--recursive", "--", "--recursive"});
    ASSERT_FALSE(parsed.exit_code);
    EXPECT_EQ(parsed.positionals, Arguments{"--recursive"});
}

TEST(Flags, a_single_hyphen_and_a_negative_number_are_arguments) {
    EXPECT_EQ(list({"-"}).positionals, Arguments{"-"});
    EXPECT_EQ(list({"-12"}).positionals, Arguments{"-12"});
}

TEST(Flags, letters_stand_for_flags) {
    ASSERT_FALSE(list({"-r", "/"}).exit_code);
    EXPECT_TRUE(FLAGS_recursive);
    ASSERT_FALSE(list({"-n", "3", "/"}).exit_code);
    EXPECT_EQ(FLAGS_limit, 3u);
    ASSERT_FALSE(list({"-rn4", "/"}).exit_code);
    EXPECT_TRUE(FLAGS_recursive);
    EXPECT_EQ(FLAGS_limit, 4u);
    expect_refused(list({"-x", "/"}), "unknown flag -x");
    expect_refused(node({"-listen=:1"}), "did you mean --listen?");
}

TEST(Flags, help_goes_to_stdout_with_status_0) {
    const Arguments just_help = {"--help"};
    for (const ParsedCommandLine& parsed : {parse_flags(just_help, {}, node_spec()), node({"-h"}), list({"--help"})}) {
        EXPECT_EQ(parsed.exit_code, 0);
        EXPECT_FALSE(parsed.output.empty());
        EXPECT_TRUE(parsed.error.empty());
        EXPECT_TRUE(parsed.warnings.empty());
    }
}

TEST(Flags, help_shows_the_commands_own_flags_in_groups_with_type_environment_and_default) {
    const std::string help = node({"--help"}).output;
    for (const std::string_view part :
         {"Usage: sandstore node --node-id=ID [flags]", "\nDiscovery\n", "\nLogging\n", "--data-dir text",
          "Environment: SANDSTORE_DATA_DIR, DATA_DIR. Default: /var/lib/sandstore", "--[no-]verify",
          "--copies number 1..7", "SANDSTORE_NODE_ID, NODE_ID. Required."}) {
        EXPECT_NE(help.find(part), std::string::npos) << part << "\n" << help;
    }
    for (const std::string_view part : {"flagfile", "recursive", "helpfull", "data_dir", "undefok"}) {
        EXPECT_EQ(help.find(part), std::string::npos) << part << "\n" << help;
    }
}

TEST(Flags, help_shows_defaults_also_when_the_environment_has_a_value) {
    const std::string help = node({"--help"}, {{"DATA_DIR", "/elsewhere"}}).output;
    EXPECT_NE(help.find("Default: /var/lib/sandstore"), std::string::npos);
}

TEST(Flags, version_goes_to_stdout_with_status_0) {
    const ParsedCommandLine parsed = node({"--version"});
    EXPECT_EQ(parsed.exit_code, 0);
    EXPECT_EQ(parsed.output, str_cat("sandstore ", version_text(), "\n"));
}

TEST(Flags, an_unknown_variable_of_ours_is_a_warning_with_the_nearest_name) {
    const ParsedCommandLine parsed = node({}, {{"SANDSTORE_DATADIR", "/x"}, {"PATH", "/bin"}, {"NODEID", "x"}});
    EXPECT_FALSE(parsed.exit_code);
    ASSERT_EQ(parsed.warnings.size(), 1u);
    EXPECT_EQ(parsed.warnings[0],
              "sandstore node: warning: nothing reads the environment variable SANDSTORE_DATADIR: "
              "did you mean SANDSTORE_DATA_DIR?");
}

TEST(Flags, a_variable_of_another_command_is_no_warning) {
    EXPECT_TRUE(node({}, {{"SANDSTORE_RECURSIVE", "true"}, {"SANDSTORE_ADDR", "x:1"}}).warnings.empty());
}

TEST(Flags, a_variable_for_a_flag_of_gflags_is_unknown) {
    EXPECT_EQ(node({}, {{"SANDSTORE_FLAGFILE", "/x"}}).warnings.size(), 1u);
}

TEST(Flags, a_flag_may_have_another_name_in_one_command) {
    CommandSpec spec = list_spec();
    spec.groups = {{"Listing", {"level=log_level"}}};
    spec.required = {"level"};
    const Arguments given = {"--level=warn", "/"};
    ASSERT_FALSE(parse_flags(given, {}, spec).exit_code);
    EXPECT_EQ(FLAGS_log_level, "warn");
    const Arguments bad = {"--level=loud", "/"};
    expect_refused(parse_flags(bad, {}, spec), "bad value \"loud\" for --level: expected debug|info|warn|error");
    const Arguments other_name = {"--log-level=warn", "/"};
    expect_refused(parse_flags(other_name, {}, spec), "unknown flag --log-level");
    const Arguments none = {"/"};
    const ParsedCommandLine from_environment = parse_flags(none, {{"SANDSTORE_LEVEL", "error"}}, spec);
    ASSERT_FALSE(from_environment.exit_code);
    EXPECT_TRUE(from_environment.warnings.empty());
    EXPECT_EQ(FLAGS_log_level, "error");
    EXPECT_NE(help_text(spec).find("--level debug|info|warn|error"), std::string::npos);
}

TEST(Flags, a_command_that_names_an_undefined_flag_is_a_mistake_of_the_program) {
    CommandSpec spec = node_spec();
    spec.groups.push_back({"Odd", {"never-defined"}});
    EXPECT_THROW(parse_flags({}, {}, spec), std::logic_error);
}

TEST(FlagRules, listen_addresses) {
    for (const std::string good : {":8080", "127.0.0.1:1", "node-1:65535", "[::1]:80"}) {
        EXPECT_FALSE(node({"--listen=" + good}).exit_code) << good;
    }
    for (const std::string bad : {"", "8080", ":0", ":65536", "a:", "a:b", "::1:80", "a b:1", "http://a:1", ":-1"}) {
        EXPECT_EQ(node({"--listen=" + bad}).exit_code, 2) << bad;
    }
}

TEST(FlagRules, lists_of_servers) {
    for (const std::string good : {"a:1", "a:1,b:2", "http://a:1/", "10.0.0.1:2379,[::1]:1"}) {
        EXPECT_FALSE(node({"--etcd-endpoints=" + good}).exit_code) << good;
    }
    for (const std::string bad : {"a", "a:1,", ",a:1", "a:1 b:2", ":1", "https://a:1"}) {
        EXPECT_EQ(node({"--etcd-endpoints=" + bad}).exit_code, 2) << bad;
    }
}

TEST(FlagRules, sizes) {
    EXPECT_EQ(parse_size("4096"), 4096u);
    EXPECT_EQ(parse_size("64KiB"), 65536u);
    EXPECT_EQ(parse_size("8M"), 8u << 20);
    EXPECT_EQ(parse_size("2G"), 2ull << 30);
    for (const std::string_view bad : {"", "M", "-1", "1X", "1 M", "1.5M", "99999999999999999999", "99999999999999G"}) {
        EXPECT_FALSE(parse_size(bad)) << bad;
    }
    EXPECT_FALSE(node({"--chunk-size=64K"}).exit_code);
    expect_refused(node({"--chunk-size=16MiB"}), "expected size 64KiB..8MiB");
}

TEST(NearestMatch, swapped_missing_and_extra_letters_are_close) {
    const std::vector<std::string_view> names = {"status", "health", "demo", "node"};
    EXPECT_EQ(nearest_match("statsu", names), "status");
    EXPECT_EQ(nearest_match("helth", names), "health");
    EXPECT_EQ(nearest_match("nodde", names), "node");
    EXPECT_EQ(nearest_match("xyz", names), "");
    EXPECT_EQ(nearest_match("", names), "");
}

}  // namespace
}  // namespace sandstore
