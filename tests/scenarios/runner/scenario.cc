#include "tests/scenarios/runner/scenario.h"

#include <iostream>
#include <utility>

#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kElectionLimitUs = 10'000'000;
constexpr uint64_t kAnswerLimitUs = 120'000'000;

}  // namespace

Scenario::World::World(int nodes, uint64_t seed, const SimOptions& options)
    : cluster(nodes, seed, options),
      rules(cluster.network()),
      requests(cluster),
      faults(cluster, rules),
      quantities(cluster, rules, answers) {
    // A stop is no failure by itself: the section must ask for it (check_stops).
    cluster.on_stop = [](const std::string&, const std::string&) {};
}

std::string Scenario::run() {
    const Statement* current = nullptr;
    try {
        for (const Statement& statement : section_.statements) {
            current = &statement;
            if (print_messages_) std::cout << statement.line << ": " << statement.text << "\n";
            execute(statement);
        }
        check_stops();
    } catch (const ScriptError& error) {
        throw ScriptError(str_cat(script_.path, ":", current->line, ": ", error.what(), "\n    ", current->text));
    } catch (const std::exception& error) {
        return failure(*current, error.what());
    }
    return "";
}

std::string Scenario::failure(const Statement& statement, const std::string& why) const {
    std::string text = str_cat(script_.path, ":", statement.line, ": ", statement.text, "\n    ", why, "\n");
    if (world_ == nullptr) return text;
    for (const auto& [id, reason] : world_->cluster.stops()) str_append(&text, id, " stopped: ", reason, "\n");
    str_append(&text, "at ", world_->cluster.runtime().now_us() / 1000, "ms\n", world_->cluster.describe());
    return text;
}

void Scenario::check_stops() const {
    if (world_ == nullptr) return;
    for (const auto& [id, reason] : world_->cluster.stops()) {
        if (world_->quantities.explained_stops().contains(id)) continue;
        throw ScenarioFailed(str_cat(id, " stopped, and nothing here expects that: ", reason));
    }
}

void Scenario::execute(const Statement& statement) {
    Arguments arguments(statement, variables_, world_ == nullptr ? no_nodes_ : world_->cluster.ids());
    const std::string verb(arguments.peek());
    if (verb == "cluster") {
        arguments.text("");
        return make_cluster(arguments);
    }
    if (world_ == nullptr) throw ScriptError("a section begins with 'cluster'");
    if (Requests::is_request(verb)) return whole_request(arguments);
    arguments.text("");
    static const std::map<std::string, void (Scenario::*)(Arguments&), std::less<>> kVerbs = {
        {"elect", &Scenario::elect},
        {"run", &Scenario::run_for},
        {"remember", &Scenario::remember},
        {"begin", &Scenario::begin_request},
        {"expect", &Scenario::expect},
        {"wait", &Scenario::wait},
        {"throughout", &Scenario::throughout},
        {"proposals", &Scenario::many_proposals},
        {"only-candidate", &Scenario::only_candidate},
        {"many", &Scenario::many_requests},
    };
    if (const auto found = kVerbs.find(verb); found != kVerbs.end()) {
        (this->*found->second)(arguments);
    } else if (!world_->faults.execute(verb, arguments)) {
        throw ScriptError(str_cat("there is no verb '", verb, "'"));
    }
    arguments.end();
}

// cluster 3 [spare 1] [seed 7] [lease-reads] [priority node-1 10] [patience node-1 10] [option value]...
void Scenario::make_cluster(Arguments& arguments) {
    if (world_ != nullptr) throw ScriptError("the section has its cluster already");
    const auto nodes = static_cast<int>(arguments.number("how many nodes"));
    uint64_t seed = seed_;
    SimOptions options;
    options.plain_log = true;  // Scripts count entries.
    const std::map<std::string, uint64_t*, std::less<>> numbers = {
        {"snapshot-log-bytes", &options.snapshot_log_bytes},
        {"snapshot-piece-bytes", &options.snapshot_piece_bytes},
        {"append-bytes", &options.append_bytes_max},
        {"cache-bytes", &options.cache_bytes},
        {"segment-bytes", &options.segment_bytes},
        {"chunk-bytes", &options.client_chunk_bytes},
        {"uncommitted-bytes", &options.uncommitted_bytes_max},
        {"seed", &seed}};
    bool start = true;
    while (!arguments.empty()) {
        const std::string option = arguments.text("an option");
        if (const auto number = numbers.find(option); number != numbers.end()) {
            *number->second = arguments.number(option);
        } else if (option == "spare") {
            options.spares = static_cast<int>(arguments.number("how many nodes"));
        } else if (option == "lease-reads") {
            options.lease_reads = true;
        } else if (option == "not-started") {
            start = false;
        } else if (option == "session-timeout") {
            options.session_timeout_us = arguments.duration_us();
        } else if (option == "patience") {
            const std::string id = arguments.text("a node");
            options.patience[id] = arguments.number("how many times as long its election timeouts are");
        } else if (option == "priority") {
            const std::string id = arguments.text("a node");
            options.priorities[id] = static_cast<uint32_t>(arguments.number("a priority"));
        } else {
            throw ScriptError(str_cat("a cluster has no option '", option, "'"));
        }
    }
    world_ = std::make_unique<World>(nodes, seed, options);
    if (print_messages_) {
        world_->rules.on_send = [this](const auto& from, const auto& to, const auto& type, const Message& message) {
            std::cout << "    " << world_->cluster.runtime().now_us() << " " << from << " -> " << to << " " << type
                      << " " << message->ShortDebugString() << "\n";
        };
    }
    for (int i = 0; start && i < nodes; i++) {
        world_->cluster.start(world_->cluster.ids()[static_cast<size_t>(i)]);
    }
}

// Through the ordinary messages: until this node leads, nobody else stands for election, and other leaders are silent.
void Scenario::elect(Arguments& arguments) {
    const std::string id = arguments.node();
    world_->rules.set_candidate(id);
    const bool elected = world_->cluster.runtime().run_until(
        [&] {
            const RaftNode* raft = world_->cluster.raft(id);
            return raft != nullptr && raft->core() != nullptr && raft->core()->is_leader();
        },
        kElectionLimitUs);
    world_->rules.set_candidate("");
    if (!elected) throw ScenarioFailed(str_cat(id, " is not elected"));
}

// From now on only this node stands for election; "any": the ordinary state of things.
void Scenario::only_candidate(Arguments& arguments) {
    world_->rules.set_candidate(arguments.accept("any") ? "" : arguments.node());
}

void Scenario::run_for(Arguments& arguments) {
    world_->cluster.runtime().run_for(arguments.duration_us());
}

void Scenario::remember(Arguments& arguments) {
    const std::string name = arguments.text("a name");
    arguments.demand("=");
    const auto quantities = world_->quantities.parse(arguments);
    if (quantities.size() != 1) throw ScriptError("only one value can be remembered");
    variables_[name] = quantities.front()();
}

// begin NAME REQUEST: goes on without waiting for the answer.
void Scenario::begin_request(Arguments& arguments) {
    const std::string name = arguments.text("a name for the request");
    if (!Requests::is_request(arguments.peek())) throw ScriptError(str_cat("'", arguments.peek(), "' is no request"));
    const bool proposes = arguments.peek() == "propose";
    const auto place = world_->requests.begin(arguments);
    world_->answers[name] = place;
    // A proposal is in the log, or refused, when the statement is over.
    if (proposes) world_->cluster.runtime().run_for(1'000);
}

// REQUEST [=> CODE | => "what is read"]: runs until it is answered.
void Scenario::whole_request(Arguments& arguments) {
    const auto place = world_->requests.begin(arguments);
    std::string wanted = "OK";
    bool of_text = false;
    if (arguments.accept("=>")) {
        of_text = arguments.next_is_quoted();
        wanted = arguments.text("the answer");
        of_text = of_text || (!wanted.empty() && wanted.find_first_not_of("0123456789") == std::string::npos);
    }
    arguments.end();
    world_->cluster.runtime().run_until([&place] { return place->has_value(); }, kAnswerLimitUs);
    if (!*place) throw ScenarioFailed("no answer comes");
    const Answer& answer = **place;
    if (answer.code == (of_text ? "OK" : wanted) && (!of_text || answer.text == wanted)) return;
    throw ScenarioFailed(str_cat("the answer is ", answer.code, " \"", answer.text, "\" ", answer.why));
}

// proposals node-1 1000: as many as fast as the node takes them, nobody waits for the answers.
void Scenario::many_proposals(Arguments& arguments) {
    const std::string node = arguments.node();
    const uint64_t count = arguments.number("how many");
    const std::string bytes = arguments.accept("bytes") ? std::to_string(arguments.number("bytes")) : "20";
    const Statement one{0, "", {{"propose"}, {node}, {"x", true}, {"bytes"}, {bytes}}};
    for (uint64_t i = 0; i < count; i++) {
        Arguments words(one, variables_, world_->cluster.ids());
        world_->requests.begin(words);
        if (i % 100 == 99) world_->cluster.runtime().run_for(1'000);
    }
    world_->cluster.runtime().run_for(1'000);
}

// many 1000 client-1 create /file-%: a percent sign is the number, from 1 on; all are answered with OK.
void Scenario::many_requests(Arguments& arguments) {
    const uint64_t count = arguments.number("how many");
    Statement one;
    while (!arguments.empty()) one.words.push_back({arguments.text("a request"), false});
    for (uint64_t i = 1; i <= count; i++) {
        Statement numbered = one;
        for (Word& word : numbered.words) {
            const size_t at = word.text.find('%');
            if (at != std::string::npos) word.text.replace(at, 1, std::to_string(i));
        }
        Arguments words(numbered, variables_, world_->cluster.ids());
        whole_request(words);
    }
}

void Scenario::expect(Arguments& arguments) {
    const Quantities::Condition condition = world_->quantities.parse_condition(arguments);
    std::string seen;
    if (!condition.holds(&seen)) throw ScenarioFailed(str_cat("but it is ", seen));
}

// wait CONDITION within TIME
void Scenario::wait(Arguments& arguments) {
    const Quantities::Condition condition = world_->quantities.parse_condition(arguments);
    arguments.demand("within");
    const uint64_t limit_us = arguments.duration_us();
    std::string seen;
    if (!world_->cluster.runtime().run_until([&] { return condition.holds(&seen); }, limit_us)) {
        throw ScenarioFailed(str_cat("but it stays ", seen));
    }
}

// throughout TIME CONDITION: after each step.
void Scenario::throughout(Arguments& arguments) {
    const uint64_t time_us = arguments.duration_us();
    const Quantities::Condition condition = world_->quantities.parse_condition(arguments);
    std::string seen;
    if (world_->cluster.runtime().run_until([&] { return !condition.holds(&seen); }, time_us)) {
        throw ScenarioFailed(str_cat("but it becomes ", seen));
    }
}

}  // namespace sandstore
