// The steps of the smoke check: what a user of the store relies on, tried once each in a directory of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"

namespace sandstore {

struct Mismatch {
    std::string expected;
    std::string saw;
};
using StepOutcome = std::optional<Mismatch>;  // None: as it should be.

struct SmokeStep {
    std::string name;
    std::function<StepOutcome(Client& client, const std::string& directory)> run;
};

std::vector<SmokeStep> smoke_steps();

// Removes a directory with all below it; a missing one is fine.
StepOutcome remove_all(Client& client, const std::string& path);
// "ENOENT", "OK", "NOT_LEADER"
std::string code_name_of(pb::StatusCode code);

}  // namespace sandstore
