// Measures a directory's disk with a file of its own, which has no name and is gone with the process, however that
// ends.
#pragma once

#include <string>

#include "apps/doctor/findings.h"

namespace sandstore {

struct DiskProbe {
    std::string directory;  // That was looked at: the one asked for, or the nearest one above it that is there.
    bool exists = false;
    int error = 0;  // Why nothing can be written there.
    DiskSpeed speed;
    DiskSpace space;
};

// `gently`: a node works in this directory; a few syncs only.
DiskProbe probe_disk(const std::string& directory, bool gently);

}  // namespace sandstore
