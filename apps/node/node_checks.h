// What only several settings of a node together can get wrong.
#pragma once

#include <string>
#include <vector>

#include "apps/node/node_options.h"

namespace sandstore {

// A sentence for each problem, with the reason. Empty: the node may start.
std::vector<std::string> node_problems(const NodeOptions& options);

}  // namespace sandstore
