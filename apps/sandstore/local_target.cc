#include "apps/sandstore/local_target.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "runtime/text.h"

namespace sandstore {

namespace {

std::string resolved(const std::string& path) {
    char* const real = ::realpath(path.c_str(), nullptr);
    const std::string text = real == nullptr ? "" : real;
    std::free(real);
    return text;
}

std::string directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// /dev/fd/9, /dev/stdout: the link leads to what a process has open, which is not the file that has its name by now.
bool is_descriptor(const std::string& path) {
    if (resolved(directory_of(path)).starts_with("/proc/")) return true;
    char target[PATH_MAX];
    const ssize_t length = ::readlink(path.c_str(), target, sizeof(target));
    return length > 0 && std::string_view(target, static_cast<size_t>(length)).starts_with("/proc/");
}

mode_t present_umask() {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    return mask;
}

}  // namespace

LocalTarget::~LocalTarget() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

int LocalTarget::open() {
    struct stat there {};
    if (::stat(path_.c_str(), &there) != 0) {
        const int error = errno;
        // As cp: where a link leads that leads nowhere is not guessed.
        const bool is_free = error == ENOENT && ::lstat(path_.c_str(), &there) != 0;
        return is_free ? open_beside(path_) : error;
    }
    if (S_ISDIR(there.st_mode)) return EISDIR;
    if (::access(path_.c_str(), W_OK) != 0) return errno;
    is_new_ = false;
    mode_ = there.st_mode & 07777;
    owner_ = there.st_uid;
    group_ = there.st_gid;
    const std::string place = resolved(path_);
    const bool is_owner = owner_ == ::geteuid() || ::geteuid() == 0;
    const bool in_place = !S_ISREG(there.st_mode) || there.st_nlink > 1 || !is_owner || is_descriptor(path_);
    if (!in_place && !place.empty() && open_beside(place) == 0) return 0;
    place_.clear();
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | (S_ISREG(there.st_mode) ? O_TRUNC : 0));
    return descriptor_ >= 0 ? 0 : errno;
}

int LocalTarget::open_beside(const std::string& place) {
    const std::string directory = directory_of(place);
    std::string temporary = str_cat(directory, "/.get-XXXXXX");
    descriptor_ = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (descriptor_ < 0) return errno;
    place_ = place;
    temporary_ = std::move(temporary);
    return 0;
}

int LocalTarget::commit(mode_t mode) {
    if (place_.empty()) return close();
    if (!is_new_ && ::fchown(descriptor_, owner_, group_) != 0 && errno != EPERM) return errno;
    if (::fchmod(descriptor_, is_new_ ? mode & 0777 & ~present_umask() : mode_) != 0) return errno;
    if (const int error = close(); error != 0) return error;
    if (::rename(temporary_.c_str(), place_.c_str()) != 0) return errno;
    temporary_.clear();
    return 0;
}

int LocalTarget::close() {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    return ::close(descriptor) == 0 ? 0 : errno;
}

}  // namespace sandstore
