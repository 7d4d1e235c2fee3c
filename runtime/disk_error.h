// What an errno of the disk says about the data. Running out of something, or being interrupted, says nothing about
// them: the request fails, and may be asked again. Pure functions.
#pragma once

#include <cerrno>

namespace sandstore {

// Descriptors, memory, a signal, somebody else's turn: the same request may work a moment later.
constexpr bool is_passing_disk_error(int error) {
    switch (error) {
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
        case EINTR:
        case EAGAIN:
        case EBUSY:
        case ETIMEDOUT:
            return true;
        default:
            return false;
    }
}

// The device, or the file system's own checksums, cannot give the bytes back. Damage when it says so twice.
constexpr bool is_unreadable(int error) {
    return error == EIO || error == EBADMSG || error == EUCLEAN;
}

}  // namespace sandstore
