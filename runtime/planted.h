// Faults planted on purpose, to prove that the tests would find them. A line that protects something may ask
// planted("name-of-the-fault") whether to do the wrong thing instead. In every ordinary build the answer is a constant
// no; only the test libraries compiled with SANDSTORE_PLANTED_FAULTS can be told to make one fault. What the simulator
// must find is in tests/sim/planted_faults.txt; what a scenario must notice, in that scenario (tests/scenarios).
#pragma once

#include <string>
#include <string_view>

namespace sandstore {

#ifdef SANDSTORE_PLANTED_FAULTS
inline std::string planted_fault;  // The one that is active; empty: none.
inline bool planted(std::string_view fault) {
    return planted_fault == fault;
}
#else
constexpr bool planted(std::string_view) {
    return false;
}
#endif

}  // namespace sandstore
