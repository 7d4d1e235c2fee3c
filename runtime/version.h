// What this build calls itself.
#pragma once

#include <string>

namespace sandstore {

std::string version_number();  // "0.1.0"
std::string version_commit();  // "1a2b3c4d5e6f"; empty when it is not known.
std::string version_text();    // "0.1.0 (1a2b3c4d5e6f)"; without a known commit just the number.

}  // namespace sandstore
