// How a process shares out its file descriptors, so that whoever connects to it never takes those that its disks need.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sandstore {

struct DescriptorPlan {
    uint64_t limit = 0;           // As many may be open at once.
    size_t cached_files = 0;      // Files that each disk keeps open.
    int accepted_below = 0;       // The numbers of accepted sockets lie below this: what lies above is the disks' own.
    size_t connections = 0;       // Accepted from peers and clients,
    size_t http_connections = 0;  // and over HTTP.
};

// Pure. With fewer than 64 descriptors nothing can be kept for anybody; the plan is then that of 64.
DescriptorPlan plan_descriptors(uint64_t limit);

// Raises the soft limit to the hard one, and says what is in force then.
uint64_t raise_descriptor_limit();
uint64_t descriptor_limit();

}  // namespace sandstore
