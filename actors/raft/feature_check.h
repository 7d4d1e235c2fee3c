// Whether a program knows enough for a log (feature_level.h).
#pragma once

#include <cstdint>
#include <string>

namespace sandstore {

namespace pb {
class LogRecovered;
class SnapshotMeta;
}  // namespace pb

// Why a program that knows `known` cannot go on with a log of this level: a sentence for the operator, or empty.
std::string feature_problem(uint32_t log_level, uint32_t known);
// The same of all that was found on disk; `snapshot` is the newest one there, or null.
std::string feature_problem(const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot, uint32_t known);

}  // namespace sandstore
