#include "runtime/check.h"

namespace sandstore {

void check_failed(const char* file, int line, const char* condition, const std::string& values) {
    throw InvariantBroken(str_cat("broken invariant at ", file, ":", line, ": ", condition, values.empty() ? "" : " (",
                                  values, values.empty() ? "" : ")"));
}

}  // namespace sandstore
