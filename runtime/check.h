// Invariants: kept in release builds. A broken one stops the process (or, in simulation, the run) with its values: a
// wrong answer is worse than none. Not for operating errors: those are statuses.
#pragma once

#include <stdexcept>
#include <string>

#include "runtime/text.h"

namespace sandstore {

// Thrown by SANDSTORE_CHECK, caught only by the runtime drivers, which stop.
class InvariantBroken : public std::logic_error {
 public:
    using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& values);

}  // namespace sandstore

// SANDSTORE_CHECK(match <= last_index, "match=", match, " last=", last_index);
#define SANDSTORE_CHECK(condition, ...)                                                                   \
    do {                                                                                                  \
        if (!(condition)) [[unlikely]]                                                                    \
            ::sandstore::check_failed(__FILE__, __LINE__, #condition, ::sandstore::str_cat(__VA_ARGS__)); \
    } while (false)
