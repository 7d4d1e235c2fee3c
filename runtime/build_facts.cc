// The facts of programs that are not made from a build profile. Alone in this file, so that the linker takes it from
// the library only when a program brings no facts of its own (CMakeLists.txt, sandstore_program).
#include "runtime/version.h"

namespace sandstore {

std::string build_profile() {
    return "none";
}

std::vector<std::pair<std::string, std::string>> build_modules() {
    return {};
}

}  // namespace sandstore
