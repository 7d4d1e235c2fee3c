// Carries out one section of a script on a simulated cluster of its own, statement by statement.
#pragma once

#include <memory>
#include <string>

#include "tests/scenarios/runner/arguments.h"
#include "tests/scenarios/runner/fault_verbs.h"
#include "tests/scenarios/runner/message_rules.h"
#include "tests/scenarios/runner/quantities.h"
#include "tests/scenarios/runner/requests.h"
#include "tests/scenarios/runner/script.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

class Scenario {
 public:
    Scenario(const Script& script, const Section& section, uint64_t seed)
        : script_(script), section_(section), seed_(seed) {}
    void print_messages() { print_messages_ = true; }  // And the statements, to standard output.

    // Empty: it went as it should. Otherwise file, line, what was seen and the state of all nodes. Throws ScriptError.
    std::string run();

 private:
    // The cluster with what belongs to it; made by the verb `cluster`, the first one of each section.
    struct World {
        World(int nodes, uint64_t seed, const SimOptions& options);
        SimCluster cluster;
        MessageRules rules;
        Requests requests;
        FaultVerbs faults;
        Quantities::Answers answers;
        Quantities quantities;
    };

    void execute(const Statement& statement);
    void make_cluster(Arguments& arguments);
    void elect(Arguments& arguments);
    void only_candidate(Arguments& arguments);
    void run_for(Arguments& arguments);
    void remember(Arguments& arguments);
    void begin_request(Arguments& arguments);
    void whole_request(Arguments& arguments);
    void many_requests(Arguments& arguments);
    void many_proposals(Arguments& arguments);
    void expect(Arguments& arguments);
    void wait(Arguments& arguments);
    void throughout(Arguments& arguments);
    void check_stops() const;
    std::string failure(const Statement& statement, const std::string& why) const;

    const Script& script_;
    const Section& section_;
    const uint64_t seed_;
    const std::vector<std::string> no_nodes_;
    bool print_messages_ = false;
    Variables variables_;
    std::unique_ptr<World> world_;
};

}  // namespace sandstore
