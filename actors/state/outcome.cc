#include "actors/state/outcome.h"

namespace sandstore {

std::string_view usual_text(pb::StatusCode code) {
    switch (code) {
        case pb::STATUS_EPERM:
            return "Operation not permitted";
        case pb::STATUS_ENOENT:
            return "No such file or directory";
        case pb::STATUS_EIO:
            return "Input/output error";
        case pb::STATUS_EACCES:
            return "Permission denied";
        case pb::STATUS_EBUSY:
            return "Device or resource busy";
        case pb::STATUS_EEXIST:
            return "File exists";
        case pb::STATUS_EXDEV:
            return "Invalid cross-device link";
        case pb::STATUS_ENOTDIR:
            return "Not a directory";
        case pb::STATUS_EISDIR:
            return "Is a directory";
        case pb::STATUS_EINVAL:
            return "Invalid argument";
        case pb::STATUS_EFBIG:
            return "File too large";
        case pb::STATUS_ENOSPC:
            return "No space left on device";
        case pb::STATUS_EROFS:
            return "Read-only file system";
        case pb::STATUS_EMLINK:
            return "Too many links";
        case pb::STATUS_ENAMETOOLONG:
            return "File name too long";
        case pb::STATUS_ENOTEMPTY:
            return "Directory not empty";
        case pb::STATUS_ELOOP:
            return "Too many levels of symbolic links";
        case pb::STATUS_ESTALE:
            return "Stale file handle";
        case pb::STATUS_SESSION_EXPIRED:
            return "The session is unknown or has expired: open a new one";
        default:
            return "";
    }
}

void fill_status(const Outcome& outcome, pb::Status* status) {
    if (outcome.ok()) return;
    status->set_code(outcome.code);
    status->set_message(std::string(outcome.why.empty() ? usual_text(outcome.code) : outcome.why));
}

}  // namespace sandstore
