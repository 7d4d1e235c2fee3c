// Zero bytes for holes, all sharing one buffer.
#pragma once

#include <cstdint>

#include "runtime/payload.h"

namespace sandstore {

void append_zeros(Payload* payload, uint64_t count);

}  // namespace sandstore
