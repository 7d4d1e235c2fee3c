#include "runtime/version.h"

namespace sandstore {

std::string version_number() {
    return SANDSTORE_VERSION;
}

std::string version_commit() {
    return SANDSTORE_COMMIT;
}

std::string version_text() {
    const std::string commit = version_commit();
    return commit.empty() ? version_number() : version_number() + " (" + commit + ")";
}

std::string build_module(const std::string& option) {
    for (const auto& [name, value] : build_modules()) {
        if (name == option) return value;
    }
    return "";
}

}  // namespace sandstore
