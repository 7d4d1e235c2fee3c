// sandstore top: the cluster, live in a terminal.
#include <gflags/gflags.h>

#include <cstdio>
#include <optional>

#include "apps/common/client_flags.h"
#include "apps/operator/node_calls.h"
#include "apps/sandstore/commands.h"
#include "apps/terminal/terminal.h"
#include "apps/terminal/top_screen.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"

DEFINE_bool(once, false, "print one frame and end; so it is without a terminal, too");

namespace sandstore {

namespace {

constexpr uint64_t kFrameUs = 1'000'000;
constexpr uint64_t kAnswerUs = 1'500'000;  // A node that needs longer counts as one that does not answer.
constexpr uint32_t kSamplesMax = 200;      // As many as a wide terminal has columns.
constexpr uint32_t kEventsMax = 50;

const CommandSpec& top_spec() {
    static const CommandSpec kSpec = {
        .name = "top",
        .summary = "Shows what the cluster does, each second: nodes, curves of the last minutes, events.",
        .usage = "sandstore top [flags]",
        .groups = {cluster_flags(), {"Output", {"once"}}},
        .notes =
            "Keys: q quits; n, r and l sort the nodes by name, requests and lag. Exit status: 1 when no node "
            "answered at\nthe beginning.",
    };
    return kSpec;
}

class Top {
 public:
    Top() : calls_(servers_from_flags()) {
        view_.unicode = terminal_has_utf8();
        view_.colors = terminal_has_colors();
    }

    bool ask(uint64_t timeout_us) {
        pb::ClusterStatusRequest request;
        request.set_samples_max(kSamplesMax);
        request.set_events_max(kEventsMax);
        std::optional<pb::ClusterStatus> answer = calls_.cluster_status(request, timeout_us, &view_.problem);
        if (!answer) return false;
        view_.problem.clear();
        status_ = std::move(*answer);
        calls_.learn(status_);
        return true;
    }

    int print_once() {
        view_.live = false;
        // Events as on a screen of usual height; a file may be longer.
        draw_into_view();
        for (const std::string& line : top_frame(status_, view_)) std::puts(line.c_str());
        return 0;
    }

    int run() {
        FullScreen screen;
        for (;;) {
            const uint64_t due_us = calls_.now_us() + kFrameUs;
            if (calls_.now_us() >= asked_us_) {
                ask(kAnswerUs);
                asked_us_ = due_us;
            }
            draw_into_view();
            screen.show(top_frame(status_, view_));
            const uint64_t now_us = calls_.now_us();
            const std::optional<char> key = screen.wait_for_key(asked_us_ > now_us ? asked_us_ - now_us + 999 : 0);
            if (key == 'q' || key == 'Q' || key == '\0') return 0;
            if (key == 'n') view_.order = TopOrder::kName;
            if (key == 'r') view_.order = TopOrder::kRequests;
            if (key == 'l') view_.order = TopOrder::kLag;
        }
    }

    const std::string& problem() const { return view_.problem; }

 private:
    void draw_into_view() {
        const TerminalSize size = terminal_size();
        view_.width = size.columns;
        view_.height = size.rows;
        view_.wall_us = clock_.wall_us();
    }

    NodeCalls calls_;
    SystemClock clock_;
    TopView view_;
    pb::ClusterStatus status_;
    uint64_t asked_us_ = 0;  // When the next question is due.
};

}  // namespace

int top_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, top_spec());
    if (parsed.exit_code) return finish(parsed);
    Top top;
    if (!top.ask(client_options_from_flags().timeout_us)) {
        std::fprintf(stderr, "sandstore top: no node answers (%s); --servers says where they are\n",
                     top.problem().c_str());
        return 1;
    }
    return FLAGS_once || !is_terminal() ? top.print_once() : top.run();
}

}  // namespace sandstore
