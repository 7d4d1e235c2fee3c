// What libevent has to say goes through our own log, as everything does; the same words once a minute. One at a time in
// a process, since libevent has one place for it; what it says while there is none is not shown.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/logging.h"

namespace sandstore {

class LibraryLog {
 public:
    explicit LibraryLog(Logger& logger);
    ~LibraryLog();
    LibraryLog(const LibraryLog&) = delete;
    LibraryLog& operator=(const LibraryLog&) = delete;

    void say(int severity, const char* text, uint64_t monotonic_us, uint64_t wall_us);  // By libevent's numbers.

 private:
    Logger& logger_;
    std::map<std::string, uint64_t> said_us_;
};

}  // namespace sandstore
