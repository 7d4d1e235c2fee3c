// What the entries of a log may be. The level stands in the configuration (RaftConfiguration.feature_level), in the
// log itself, and is raised by an operator when all members know the next one (`sandstore cluster raise-features`):
// from then on entries may come that a program which knows less would not understand, or would carry out differently.
// Such a program stops at the configuration that says so, before any of those entries.
//
//   level   what it permits
//       1   no-ops, configurations and commands with the operations of Mutation up to publish_file, and housekeeping.
//           Logs whose configuration names no level are of this one.
//       2   AbandonChunks.
//
// A new kind of record, a new operation, or a field that changes what an operation does: a line here, the constant one
// higher, and no such entry proposed before the log's configuration is of that level.
#pragma once

#include <cstdint>

namespace sandstore {

// The highest that this program knows. A constant of its own file, so that a test can link a program of another one.
extern const uint32_t kFeatureLevel;

// What a number in a message means: programs and logs from before there were levels say nothing.
constexpr uint32_t feature_level_of(uint32_t said) {
    return said == 0 ? 1 : said;
}

}  // namespace sandstore
