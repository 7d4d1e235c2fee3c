#include "apps/terminal/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sandstore {

void open_standard_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        // The lowest free descriptor is the one that is asked for.
        if (fcntl(stream, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != stream) _exit(1);
    }
}

int finish_output(const char* program, int status) {
    const bool failed_before = std::ferror(stdout) != 0;
    errno = 0;
    if (std::fflush(stdout) == 0 && !failed_before) return status;
    std::fprintf(stderr, "%s: cannot write to standard output%s%s\n", program, errno == 0 ? "" : ": ",
                 errno == 0 ? "" : std::strerror(errno));
    return status == 0 ? 1 : status;
}

}  // namespace sandstore
