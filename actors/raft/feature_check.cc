#include "actors/raft/feature_check.h"

#include <algorithm>

#include "actors/raft/configuration.h"
#include "messages/log.pb.h"
#include "messages/snapshot.pb.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

std::string feature_problem(uint32_t log_level, uint32_t known) {
    if (feature_level_of(log_level) <= known || planted("level-beyond-us-ignored")) return "";
    return str_cat("the log holds records of feature level ", log_level, ", and this version knows level ", known,
                   ": update this node to the version of the others");
}

std::string feature_problem(const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot, uint32_t known) {
    uint32_t level = snapshot == nullptr ? 0 : snapshot->configuration().feature_level();
    for (const pb::ConfigurationAt& at : recovered.configurations()) {
        Configuration configuration;
        if (!Configuration::parse(at.configuration(), &configuration)) continue;  // For others to judge.
        level = std::max(level, configuration.feature_level());
    }
    return feature_problem(level, known);
}

}  // namespace sandstore
