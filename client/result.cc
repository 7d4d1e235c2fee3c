#include "client/result.h"

#include <cstring>

#include "runtime/text.h"

namespace sandstore {

std::string text_of(pb::StatusCode code) {
    switch (code) {
        case pb::STATUS_OK:
            return "OK";
        case pb::STATUS_NOT_LEADER:
            return "not the leader";
        case pb::STATUS_UNAVAILABLE:
            return "cluster unavailable";
        case pb::STATUS_DEADLINE_EXCEEDED:
            return "timed out";
        case pb::STATUS_RESOURCE_EXHAUSTED:
            return "cluster too busy";
        case pb::STATUS_CORRUPTED:
            return "data corrupted";
        case pb::STATUS_INVALID_ARGUMENT:
            return "bad request";
        case pb::STATUS_INTERNAL:
            return "internal error";
        case pb::STATUS_SESSION_EXPIRED:
            return "session expired";
        default:
            // POSIX names carry Linux errno numbers.
            return code > 0 && code < 1000 ? std::string(strerror(code)) : str_cat("status ", static_cast<int>(code));
    }
}

std::string ClientStatus::text() const {
    const std::string usual = text_of(code);
    if (message.empty() || message == usual) return usual;
    return str_cat(usual, " (", message, ")");
}

bool ClientStatus::is_of_a_given_up_upload() const {
    return code == pb::STATUS_ESTALE && message == str_cat(kNothingChanged, kUploadGivenUp);
}

}  // namespace sandstore
