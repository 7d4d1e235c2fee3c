#include "tests/history/history_check.h"

#include <json/json.h>

#include <set>

#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr size_t kProblemsMax = 20;

class Judge {
 public:
    explicit Judge(size_t files, size_t states_max) : files_(files), states_max_(states_max) {}

    void look_at(const std::string& name, const std::vector<FileOperation>& operations) {
        verdict_.directories++;
        const LinearizabilityResult result = check_linearizable(operations, files_, 1, states_max_);
        if (result.verdict == OrderVerdict::kLinearizable) return;
        const bool undecided = result.verdict == OrderVerdict::kUndecided;
        (undecided ? verdict_.undecided : verdict_.not_linearizable)++;
        problem(str_cat(name, undecided ? ": too many orders are possible to decide\n" : ": no order fits\n",
                        result.explanation));
    }

    void look_at(const std::string& name, const Journal& journal) {
        if (!journal.at_the_end) return problem(str_cat(name, ": what it holds at the end was not read"));
        std::set<uint64_t> there;
        for (const uint64_t number : *journal.at_the_end) {
            if (!there.insert(number).second) {
                verdict_.doubled++;
                problem(str_cat(name, ": ", number, " is there more than once"));
            }
            const auto fate = journal.fates.find(number);
            if (fate != journal.fates.end() && fate->second != Journal::Fate::kFailed) continue;
            verdict_.alien++;
            problem(str_cat(name, ": ", number, " is there, and was ",
                            fate == journal.fates.end() ? "never asked for" : "refused"));
        }
        for (const auto& [number, fate] : journal.fates) look_at(name, number, fate, there.contains(number));
    }

    void look_at_absurd(const std::vector<std::string>& answers) {
        verdict_.absurd = answers.size();
        for (const std::string& answer : answers) problem(str_cat("an answer that nothing explains: ", answer));
    }

    HistoryVerdict take() { return std::move(verdict_); }

 private:
    void look_at(const std::string& name, uint64_t number, Journal::Fate fate, bool there) {
        if (fate == Journal::Fate::kExists) {
            verdict_.doubled++;
            problem(str_cat(name, ": ", number, " was there before the only operation that makes it"));
        }
        if (fate != Journal::Fate::kAcknowledged) return;
        verdict_.acknowledged++;
        if (there) return;
        verdict_.lost++;
        problem(str_cat(name, ": ", number, " was acknowledged and is not there"));
    }

    void problem(std::string text) {
        if (verdict_.problems.size() < kProblemsMax) verdict_.problems.push_back(std::move(text));
    }

    const size_t files_;
    const size_t states_max_;
    HistoryVerdict verdict_;
};

}  // namespace

HistoryVerdict judge(const RecordedHistory& history, size_t files, size_t states_max) {
    Judge judge(files, states_max);
    for (const auto& [name, operations] : history.directories) judge.look_at(name, operations);
    for (const auto& [name, journal] : history.journals) judge.look_at(name, journal);
    judge.look_at_absurd(history.absurd);
    return judge.take();
}

std::string to_json(const RecordedHistory& history, const HistoryVerdict& verdict) {
    Json::Value json(Json::objectValue);
    json["good"] = verdict.good();
    json["operations"] = Json::UInt64{history.operations};
    for (const auto& [outcome, count] : history.outcomes) json["outcomes"][outcome] = Json::UInt64{count};
    json["directories"] = Json::UInt64{verdict.directories};
    json["not_linearizable"] = Json::UInt64{verdict.not_linearizable};
    json["undecided"] = Json::UInt64{verdict.undecided};
    json["journals"] = Json::UInt64{history.journals.size()};
    json["journal_acknowledged"] = Json::UInt64{verdict.acknowledged};
    json["lost"] = Json::UInt64{verdict.lost};
    json["doubled"] = Json::UInt64{verdict.doubled};
    json["alien"] = Json::UInt64{verdict.alien};
    json["absurd"] = Json::UInt64{verdict.absurd};
    json["problems"] = Json::Value(Json::arrayValue);
    for (const std::string& problem : verdict.problems) json["problems"].append(problem);
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "";
    return Json::writeString(builder, json);
}

}  // namespace sandstore
