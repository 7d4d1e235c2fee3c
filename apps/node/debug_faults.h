// /debug/faults: reads (GET) and changes (POST) what a node started with --debug-faults suffers, as JSON:
//   {"disk_delay_ms": 200, "disk_full": false, "wall_clock_offset_ms": -3600000}
// A member that is missing in a POST stays as it is; one that is unknown or out of bounds changes nothing at all.
#pragma once

#include <string_view>

#include "runtime/fault_points.h"
#include "services/status/http_server.h"

namespace sandstore {

constexpr std::string_view kDebugFaultsWarning =
    "FAULTS ON REQUEST: --debug-faults is for tests; whoever reaches the HTTP port can stall the disk and set the "
    "clock";

// `faults` outlives the handler.
HttpHandler debug_faults_handler(FaultPoints& faults);

}  // namespace sandstore
