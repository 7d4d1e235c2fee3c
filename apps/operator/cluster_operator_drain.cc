// ClusterOperator: the chunks of a node that is about to go are moved to others first.
#include <algorithm>
#include <optional>

#include "apps/operator/cluster_operator.h"
#include "apps/terminal/progress_bar.h"
#include "runtime/text.h"
#include "services/status/status_json.h"

namespace sandstore {

namespace {

constexpr uint64_t kPauseUs = 200'000;
constexpr uint64_t kStuckRounds = 4;  // In a row, of the leader's, in which no chunk left the node.

bool is_leaving(const pb::RaftConfiguration& configuration, const std::string& node) {
    return std::ranges::count(configuration.leaving(), node) > 0;
}

pb::CopiesReport::Node count_of(const pb::CopiesReport& report, const std::string& node) {
    for (const pb::CopiesReport::Node& line : report.nodes()) {
        if (line.node_id() == node) return line;
    }
    return {};
}

std::string chunks(uint64_t count) {
    return str_cat(count, count == 1 ? " chunk" : " chunks");
}

// Of removing the node now.
std::string loss(const pb::CopiesReport& report, const std::string& node) {
    const pb::CopiesReport::Node count = count_of(report, node);
    if (count.last() > 0) return str_cat(chunks(count.last()), " would be lost, since only ", node, " has them intact");
    if (report.none() > 0 && count.places() > 0 && !count.counted()) {
        return str_cat("up to ", chunks(std::min(report.none(), count.places())),
                       " would be lost, since no other node has them intact");
    }
    return "nothing would be lost at once, but copies would be fewer than promised";
}

}  // namespace

const pb::CopiesReport& ClusterOperator::copies() const {
    return best_informed(status_)->copies_report();
}

std::string ClusterOperator::move_chunks_off(const std::string& node, bool force) {
    if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    const pb::RaftConfiguration& members = leader().configuration();
    const bool alone = members.voters_size() + members.learners_size() < 2;
    if (alone || standing_of(members, node) == Standing::kNone) return "";  // What follows judges that.
    if (force) return say_what_is_lost(node);
    std::string problem;
    if (!is_leaving(members, node)) {
        problem = change({{Change::LEAVE, node, ""}},
                         [&](const pb::RaftConfiguration& now) { return is_leaving(now, node); });
        if (!problem.empty()) return problem;
        note(str_cat(node, " gets no new chunks, and those that it has are moved to other nodes"));
    }
    return await_moved(node, leader().configuration_index());
}

std::string ClusterOperator::await_moved(const std::string& node, uint64_t configuration_index) {
    uint64_t fewest = UINT64_MAX;
    uint64_t round = 0;
    uint64_t stuck = 0;
    uint64_t first = 0;
    std::optional<ProgressBar> bar;  // Its line ends before anything else is said.
    while (true) {
        if (std::string problem = look_with_leader(); !problem.empty()) return problem;
        const pb::CopiesReport report = copies();
        const uint64_t places = count_of(report, node).places();
        const bool counted = report.current() && report.configuration_index() >= configuration_index;
        if (counted && places == 0) {
            if (bar) bar->update(first);
            bar.reset();
            note(str_cat("no chunk is on ", node, " any more"));
            return "";
        }
        if (counted && !bar) bar.emplace(str_cat("chunks off ", node), first = places, ProgressUnit::kChunks);
        if (counted) bar->update(first - std::min(first, places));
        if (counted && report.rounds() != round) {
            stuck = places < fewest ? 0 : stuck + 1;
            fewest = std::min(fewest, places);
            round = report.rounds();
        }
        if (stuck >= kStuckRounds) {
            bar.reset();
            const std::string why = report.problem().empty() ? "no other node is up and has room" : report.problem();
            const std::string problem = take_back(node);
            return str_cat(node, " was not removed: ", chunks(places), " cannot be moved elsewhere (", why, "); ",
                           loss(report, node),
                           ". Bring back the nodes that are down or add one; --force does it anyway",
                           problem.empty() ? "" : str_cat(". It still gets no new chunks: ", problem));
        }
        last_problem_ = report.problem();
        if (time_is_over()) {
            return str_cat(out_of_time(str_cat(chunks(places), " are still on ", node)), ". Moving goes on; ",
                           "`sandstore cluster add ", node, "` takes it back");
        }
        calls_.pause(kPauseUs);
    }
}

std::string ClusterOperator::say_what_is_lost(const std::string& node) {
    while (!copies().current() && !time_is_over()) {
        calls_.pause(kPauseUs);
        if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    }
    note(str_cat("--force: no chunk is moved; ", loss(copies(), node)));
    return "";
}

// It stays, and gets chunks like any other.
std::string ClusterOperator::take_back(const std::string& node) {
    if (!is_leaving(leader().configuration(), node)) return "";
    std::string problem =
        change({{Change::STAY, node, ""}}, [&](const pb::RaftConfiguration& now) { return !is_leaving(now, node); });
    if (problem.empty()) note(str_cat(node, " stays"));
    return problem;
}

}  // namespace sandstore
