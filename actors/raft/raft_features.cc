// RaftCore: what the log may hold (feature_level.h). The level rises through a configuration entry, and only when all
// members have said that they know it; whoever finds that it does not stops before it takes in anything of it.
#include "actors/raft/feature_check.h"
#include "actors/raft/raft_core.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

// --- Whoever reads the log

// True: this node cannot go on, and the effects say so.
bool RaftCore::is_beyond_us(const pb::RaftConfiguration& configuration) {
    std::string problem = feature_problem(configuration.feature_level(), options_.feature_level);
    if (problem.empty()) return false;
    effects_.fatal = std::move(problem);
    return true;
}

bool RaftCore::are_beyond_us(const std::vector<Record>& records) {
    for (const Record& record : records) {
        if (record.type != RecordType::kConfiguration) continue;
        Configuration configuration;
        if (!Configuration::parse(record.data.to_string(), &configuration)) continue;
        if (is_beyond_us(configuration.message())) return true;
    }
    return false;
}

// --- The leader

// Empty: all members know the level. Otherwise a sentence; *outcome is whether asking again may help.
std::string RaftCore::who_does_not_know(uint32_t level, RequestOutcome* outcome) const {
    if (planted("level-raised-unheard")) return "";
    std::string older;
    std::string silent;
    for (const std::string& node : configuration().members()) {
        if (is_self(node)) continue;
        const auto peer = peers_.find(node);
        const uint32_t known = peer == peers_.end() ? 0 : peer->second.health.feature_level;
        if (known != 0 && known < level) {
            str_append(&older, older.empty() ? "" : ", ", node, " knows level ", known);
        } else if (known == 0 || !is_heard(node)) {
            str_append(&silent, silent.empty() ? "" : ", ", node);
        }
    }
    if (older.empty() && silent.empty()) return "";
    *outcome = older.empty() ? RequestOutcome::kNotNow : RequestOutcome::kImpossible;
    return str_cat(
        "not all members are known to understand feature level ", level, ": ", older,
        older.empty() || silent.empty() ? "" : "; ", silent.empty() ? "" : str_cat("no answer from ", silent),
        older.empty() ? ". Start them, or remove those that are gone for good" : ". Update them first, or remove them");
}

// A learner that knows less stops when it reads the level; with a vote it would be missing from then on.
std::string RaftCore::why_not_promotable(const pb::ChangeMembership& request) const {
    const uint32_t level = configuration().feature_level();
    for (const auto& change : request.changes()) {
        if (change.kind() != pb::ChangeMembership::Change::PROMOTE) continue;
        const auto peer = peers_.find(change.node_id());
        const uint32_t known = peer == peers_.end() ? 0 : peer->second.health.feature_level;
        if (known == 0 || known >= level) continue;
        return str_cat(change.node_id(), " gets no vote: the log is of feature level ", level, ", and it knows level ",
                       known, ". Update it first");
    }
    return "";
}

// Accepted, with nothing to do, also when the level is reached already.
RaftCore::RequestOutcome RaftCore::raise_features(const pb::ChangeMembership& request, std::string* problem) {
    const uint32_t level = request.raise_feature_level();
    if (!request.changes().empty()) {
        *problem = "the feature level is raised by itself, not along with a change of members";
        return RequestOutcome::kImpossible;
    }
    if (level <= configuration().feature_level()) return RequestOutcome::kAccepted;
    if (level > options_.feature_level) {
        *problem = str_cat("the leader, ", options_.node_id, ", knows feature level ", options_.feature_level,
                           " and not ", level, ": update it first");
        return RequestOutcome::kImpossible;
    }
    RequestOutcome outcome = RequestOutcome::kNotNow;
    *problem = who_does_not_know(level, &outcome);
    if (problem->empty()) *problem = why_not_committable(configuration());
    if (!problem->empty()) return outcome;
    pb::RaftConfiguration raised = configuration().message();
    raised.set_feature_level(level);
    append_configuration(raised);
    effects_.notice = str_cat("the log is of feature level ", level,
                              " from now on: programs that know less cannot take part any more");
    send_appends_to_all();
    advance_commit();
    return RequestOutcome::kAccepted;
}

bool RaftCore::gets_its_features() const {
    const bool is_new = configuration_index() == 1 && terms_.matches(2, term_);
    return is_new && configuration().feature_level() < options_.feature_level;
}

// The first voters all begin with the same entry, each by itself: it cannot say more than the oldest of their programs
// knows. So a new log gets the level of its programs when its first leader has heard what they know.
void RaftCore::raise_features_of_new_log() {
    if (!gets_its_features()) return;
    pb::ChangeMembership request;
    request.set_raise_feature_level(options_.feature_level);
    std::string problem;
    if (begin_change(request, &problem) != RequestOutcome::kAccepted) return;  // With the next heartbeat.
    effects_.notice.clear();
}

}  // namespace sandstore
