#include "actors/raft/feature_level.h"

#ifndef SANDSTORE_FEATURE_LEVEL
#define SANDSTORE_FEATURE_LEVEL 2
#endif

namespace sandstore {

const uint32_t kFeatureLevel = SANDSTORE_FEATURE_LEVEL;

}  // namespace sandstore
