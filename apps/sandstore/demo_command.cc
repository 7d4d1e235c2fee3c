// sandstore demo: a throw-away cluster on this machine, each node a process of its own. Says how to try it, shows the
// nodes' logs, and removes everything when it ends.
#include <errno.h>
#include <fcntl.h>
#include <gflags/gflags.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <optional>

#include "actors/cluster/strict_json.h"
#include "apps/common/common_flags.h"
#include "apps/modules/modules.h"
#include "apps/operator/http_call.h"
#include "apps/sandstore/child_process.h"
#include "apps/sandstore/commands.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "runtime/version.h"

DEFINE_uint32(nodes, 3, "how many nodes");
DEFINE_uint32(port, 8081, "port of the first node; the others take the ports that follow");
DEFINE_uint32(http_port, 9401, "HTTP port of the first node; the others take the ports that follow");
DEFINE_string(dir, "", "keep the data in this directory, also afterwards; a later demo there goes on with it");
DEFINE_bool(keep, false, "do not remove the throw-away directory at the end");

namespace sandstore {

namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kLeaderPatience = std::chrono::seconds(30);
constexpr auto kStopPatience = std::chrono::seconds(3);
constexpr int kPollMs = 50;
constexpr uint64_t kStatusTimeoutMs = 400;
constexpr size_t kHeldLinesMax = 10'000;
constexpr const char* kColours[] = {"\033[36m", "\033[33m", "\033[35m", "\033[32m", "\033[34m", "\033[31m"};

const FlagRule kNodesRule("nodes", number_between(1, 9));
const FlagRule kPortRule("port", number_between(1, 65'535 - 9));
const FlagRule kHttpPortRule("http_port", number_between(1, 65'535 - 9));

const CommandSpec& spec() {
    static const CommandSpec kSpec = {
        .name = "demo",
        .summary = "Runs a throw-away cluster on this machine until Ctrl-C, then removes it.",
        .usage = "sandstore demo [flags]",
        .groups = {{"Cluster", {"nodes", "port", "http_port"}}, {"Data", {"dir", "keep"}}, {"Logging", {"log_level"}}},
        .notes =
            "Each node is a child process: `sandstore node --node-id=node-1 ...`. A second Ctrl-C ends them at once.",
    };
    return kSpec;
}

bool port_is_free(uint32_t port) {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return true;  // The node will say what is wrong.
    const int on = 1;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const bool free = bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 || errno != EADDRINUSE;
    close(probe);
    return free;
}

// How the user calls this program: relative to where they are, if it lies below.
std::string program_name() {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    if (error) return "sandstore";
    const fs::path relative = self.lexically_relative(fs::current_path(error));
    if (error || relative.empty() || *relative.begin() == "..") return self.string();
    return relative.has_parent_path() ? relative.string() : "./" + relative.string();
}

class Demo {
 public:
    ~Demo();
    int run();

 private:
    struct NodeProcess {
        std::string id;
        uint32_t port;
        uint32_t http_port;
        std::string colour;
        ChildProcess process;
    };

    std::string check_ports() const;
    std::string make_directory();
    std::string start_nodes();
    std::string peers() const;
    std::string servers() const;
    bool wait_for_leader();
    std::optional<std::string> ask_leader(const NodeProcess& node) const;
    void print_block() const;
    int relay();
    void stop_nodes();
    int fail(const std::string& why) const;

    void watch_signals();
    bool take_signal();
    void wait_for_output(int timeout_ms);
    void read_output();
    void report_ended();
    size_t running() const;
    void show(const NodeProcess& node, std::string_view line);
    void say(std::string_view line);

    fs::path directory_;
    bool remove_directory_ = false;
    std::vector<NodeProcess> nodes_;
    int signals_ = -1;
    int stop_signals_ = 0;
    bool stopping_ = false;
    bool coloured_ = false;
    bool block_printed_ = false;
    bool output_gone_ = false;
    std::string leader_;
    std::deque<std::string> held_lines_;  // What the nodes said before the block.
};

Demo::~Demo() {
    stop_nodes();
    nodes_.clear();
    if (signals_ >= 0) close(signals_);
    std::error_code ignored;
    if (remove_directory_) fs::remove_all(directory_, ignored);
}

int Demo::run() {
    coloured_ = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == nullptr;
    for (uint32_t i = 0; i < FLAGS_nodes; ++i) {
        nodes_.push_back({str_cat("node-", i + 1), FLAGS_port + i, FLAGS_http_port + i,
                          coloured_ ? kColours[i % std::size(kColours)] : "", ChildProcess()});
    }
    if (const std::string problem = check_ports(); !problem.empty()) return fail(problem);
    watch_signals();
    if (const std::string problem = make_directory(); !problem.empty()) return fail(problem);
    if (const std::string problem = start_nodes(); !problem.empty()) return fail(problem);
    if (!wait_for_leader()) {
        for (const std::string& line : held_lines_) std::fprintf(stderr, "%s\n", line.c_str());
        if (stop_signals_ > 0) return 0;
        return fail(running() < nodes_.size() ? "a node ended before the cluster had a leader; its last lines are above"
                                              : "no leader within 30 seconds; the nodes' lines are above");
    }
    print_block();
    block_printed_ = true;
    for (const std::string& line : held_lines_) say(line);
    held_lines_.clear();
    std::fflush(stdout);  // The nodes may have nothing more to say, and relay() waits for that.
    return relay();
}

int Demo::fail(const std::string& why) const {
    std::fflush(stdout);
    std::fprintf(stderr, "sandstore demo: %s\n", why.c_str());
    return 1;
}

// --- Before the start -----------------------------------------------------------------------------------------------

std::string Demo::check_ports() const {
    const uint32_t last = FLAGS_nodes - 1;
    if (FLAGS_port <= FLAGS_http_port + last && FLAGS_http_port <= FLAGS_port + last) {
        return str_cat("--port=", FLAGS_port, " and --http-port=", FLAGS_http_port, " overlap for ", FLAGS_nodes,
                       " nodes");
    }
    for (const NodeProcess& node : nodes_) {
        if (!port_is_free(node.port)) {
            return str_cat("port ", node.port, " for ", node.id, " is taken: choose others with --port");
        }
        if (!port_is_free(node.http_port)) {
            return str_cat("port ", node.http_port, " for HTTP of ", node.id,
                           " is taken: choose others with --http-port");
        }
    }
    return "";
}

std::string Demo::make_directory() {
    std::error_code error;
    if (!FLAGS_dir.empty()) {
        fs::create_directories(FLAGS_dir, error);
        if (!error) directory_ = fs::canonical(FLAGS_dir, error);
        return error ? str_cat("cannot make the directory ", FLAGS_dir, ": ", error.message()) : "";
    }
    const char* temporary = getenv("TMPDIR");
    std::string pattern =
        str_cat(temporary != nullptr && *temporary != '\0' ? temporary : "/tmp", "/sandstore-demo-XXXXXX");
    if (mkdtemp(pattern.data()) == nullptr) {
        return str_cat("cannot make a directory like ", pattern, ": ", std::generic_category().message(errno),
                       " (--dir chooses another place)");
    }
    directory_ = pattern;
    remove_directory_ = !FLAGS_keep;
    return "";
}

std::string Demo::peers() const {
    std::string text;
    for (const NodeProcess& node : nodes_) {
        str_append(&text, text.empty() ? "" : ",", node.id, "=127.0.0.1:", node.port);
    }
    return text;
}

std::string Demo::servers() const {
    std::string text;
    for (const NodeProcess& node : nodes_) str_append(&text, text.empty() ? "" : ",", "127.0.0.1:", node.port);
    return text;
}

std::string Demo::start_nodes() {
    for (NodeProcess& node : nodes_) {
        const std::string problem = node.process.start(
            {"sandstore", "node", str_cat("--node-id=", node.id), str_cat("--listen=127.0.0.1:", node.port),
             str_cat("--http-listen=127.0.0.1:", node.http_port),
             str_cat("--data-dir=", (directory_ / node.id).string()), str_cat("--peers=", peers()),
             str_cat("--log-level=", FLAGS_log_level)});
        if (!problem.empty()) return str_cat("cannot start ", node.id, ": ", problem);
    }
    return "";
}

// --- Until there is a leader ----------------------------------------------------------------------------------------

bool Demo::wait_for_leader() {
    const auto deadline = SteadyClock::now() + kLeaderPatience;
    while (SteadyClock::now() < deadline) {
        wait_for_output(kPollMs);
        if (stop_signals_ > 0 || running() < nodes_.size()) return false;
        for (const NodeProcess& node : nodes_) {
            const std::optional<std::string> leader = ask_leader(node);
            if (!leader) continue;
            leader_ = *leader;
            return true;
        }
    }
    return false;
}

std::optional<std::string> Demo::ask_leader(const NodeProcess& node) const {
    const HttpAnswer answer = http_call(str_cat("http://127.0.0.1:", node.http_port, "/status"), "", kStatusTimeoutMs);
    if (answer.code != 200) return std::nullopt;
    std::string error;
    const std::optional<Json::Value> status = parse_json(answer.body, &error);
    const std::optional<std::string> leader = status ? json_string(*status, "leader") : std::nullopt;
    return leader && !leader->empty() ? leader : std::nullopt;
}

void Demo::print_block() const {
    const std::string program = program_name();
    std::string nodes;
    std::string leader_address;
    for (const NodeProcess& node : nodes_) {
        str_append(&nodes, "  ", node.id, "        127.0.0.1:", node.port, "   http://127.0.0.1:", node.http_port,
                   "/status\n");
        if (node.id == leader_) leader_address = str_cat("127.0.0.1:", node.port);
    }
    const std::string servers_flag = str_cat(" --servers ", servers());
    std::string text =
        str_cat("\nSandstore ", version_text(), ": ", nodes_.size(), nodes_.size() == 1 ? " node" : " nodes",
                " on this machine\n\n", nodes, "  leader        ", leader_, " (", leader_address, ")\n");
    str_append(&text, "  data          ", directory_.string(),
               remove_directory_ ? " (removed at the end; --keep keeps it)" : "", "\n\nTry this in another terminal:\n",
               "  ", program, " status", servers_flag, "\n", "  echo hello | ", program, " fs put - /hello",
               servers_flag, "\n", "  ", program, " fs cat /hello", servers_flag, "\n", "  ", program, " fs ls /",
               servers_flag, "\n");
    for (const NodeProcess& node : nodes_) {
        if (node.id == leader_ && nodes_.size() > 2) {
            str_append(&text, "  kill -9 ", node.process.pid(), "      # the leader; the others elect another\n");
        }
    }
    str_append(&text, "\nCtrl-C ends it. The nodes' logs:\n\n");
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
}

// --- Until Ctrl-C ---------------------------------------------------------------------------------------------------

int Demo::relay() {
    while (stop_signals_ == 0 && !output_gone_ && running() > 0) wait_for_output(-1);
    if (running() == 0 && stop_signals_ == 0) return fail("all nodes have ended");
    stopping_ = true;
    say("demo: stopping the nodes");
    stop_nodes();
    return 0;
}

// TERM, and KILL for what is left after a while or at the next signal.
void Demo::stop_nodes() {
    stopping_ = true;
    const int signals_before = stop_signals_;
    const auto deadline = SteadyClock::now() + kStopPatience;
    for (NodeProcess& node : nodes_) node.process.signal(SIGTERM);
    bool killed = false;
    while (running() > 0) {
        if (!killed && (SteadyClock::now() > deadline || stop_signals_ > signals_before)) {
            killed = true;
            for (NodeProcess& node : nodes_) node.process.signal(SIGKILL);
        }
        wait_for_output(kPollMs);
    }
}

void Demo::watch_signals() {
    sigset_t watched;
    sigemptyset(&watched);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&watched, number);
    sigprocmask(SIG_BLOCK, &watched, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool Demo::take_signal() {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return false;
    if (info.ssi_signo != SIGCHLD) ++stop_signals_;
    return true;
}

// Waits for a line of a node or a signal, and deals with all that is there.
void Demo::wait_for_output(int timeout_ms) {
    std::vector<pollfd> waiting = {{signals_, POLLIN, 0}};
    for (const NodeProcess& node : nodes_) {
        if (node.process.output() >= 0) waiting.push_back({node.process.output(), POLLIN, 0});
    }
    poll(waiting.data(), waiting.size(), timeout_ms);
    while (take_signal()) {
    }
    read_output();
    report_ended();
}

void Demo::read_output() {
    for (NodeProcess& node : nodes_) {
        node.process.read_lines([&](std::string_view line) { show(node, line); });
    }
    if (block_printed_) std::fflush(stdout);
}

void Demo::report_ended() {
    for (NodeProcess& node : nodes_) {
        std::string how;
        if (!node.process.reap(&how)) continue;
        node.process.read_lines([&](std::string_view line) { show(node, line); });
        if (!stopping_) say(str_cat("demo: ", node.id, " ended ", how));
    }
}

size_t Demo::running() const {
    size_t count = 0;
    for (const NodeProcess& node : nodes_) count += node.process.running();
    return count;
}

void Demo::show(const NodeProcess& node, std::string_view line) {
    say(str_cat(node.colour, node.id, " |", coloured_ ? "\033[0m " : " ", line));
}

void Demo::say(std::string_view line) {
    if (!block_printed_) {
        held_lines_.emplace_back(line);
        if (held_lines_.size() > kHeldLinesMax) held_lines_.pop_front();
        return;
    }
    const bool written = std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data()) >= 0;
    if (!written || std::ferror(stdout)) output_gone_ = true;  // Whoever read it has gone: there is nothing to run for.
}

}  // namespace

int demo_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec());
    if (parsed.exit_code) return finish(parsed);
    if (replicator_module().value == "noop") {
        if (flag_source("nodes") == "default") FLAGS_nodes = 1;
        if (FLAGS_nodes > 1) {
            return usage_error(spec(), str_cat("--nodes=", FLAGS_nodes, " needs REPLICATOR=raft; this build has noop"));
        }
    }
    return Demo().run();
}

}  // namespace sandstore
