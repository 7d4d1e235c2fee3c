#include "apps/backup/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/text.h"

namespace sandstore {

namespace {

volatile sig_atomic_t interrupt_seen = 0;

}  // namespace

int write_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR && interrupt_seen == 0) continue;
        if (count < 0) return errno;
        bytes.remove_prefix(static_cast<size_t>(count));
    }
    return 0;
}

int sync_directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return errno;
    const int error = fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    return error;
}

int make_directories(const std::string& path) {
    for (size_t at = 1; at <= path.size(); ++at) {
        if (at < path.size() && path[at] != '/') continue;
        const std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) return errno;
    }
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) return errno;
    return S_ISDIR(facts.st_mode) ? 0 : ENOTDIR;
}

int write_file_durably(const std::string& path, std::string_view bytes) {
    const std::string temporary = str_cat(path, ".tmp");
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0) return errno;
    int error = write_all(descriptor, bytes);
    if (error == 0 && fsync(descriptor) != 0) error = errno;
    ::close(descriptor);
    if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
    if (error == 0) error = sync_directory_of(path);
    if (error != 0) ::unlink(temporary.c_str());
    return error;
}

bool exists(const std::string& path) {
    struct stat facts {};
    return ::lstat(path.c_str(), &facts) == 0;
}

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupt_seen = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
    return interrupt_seen != 0;
}

}  // namespace sandstore
