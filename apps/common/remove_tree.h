// Removes a directory with all below it, many files at a time.
#pragma once

#include <string>
#include <vector>

#include "client/client.h"

namespace sandstore {

struct RemovalFailure {
    std::string path;
    ClientStatus status;
};

// What is not there any more is no failure. Goes on after failures (the first hundred are told), but keeps the
// directories above them.
std::vector<RemovalFailure> remove_tree(Client& client, const std::string& path);

}  // namespace sandstore
