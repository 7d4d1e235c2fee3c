// How an operation on a replicated state ended: a status code and, where the code's own name does not say enough, why.
#pragma once

#include <string_view>

#include "messages/common.pb.h"

namespace sandstore {

struct [[nodiscard]] Outcome {
    pb::StatusCode code = pb::STATUS_OK;
    std::string_view why;  // Of static storage. Empty: the code's usual text.

    Outcome() = default;
    Outcome(pb::StatusCode status_code) : code(status_code) {}
    Outcome(pb::StatusCode status_code, std::string_view reason) : code(status_code), why(reason) {}
    bool ok() const { return code == pb::STATUS_OK; }
};

// What a person reads when nothing more is known: "No such file or directory".
std::string_view usual_text(pb::StatusCode code);

// Writes code and text; an OK status stays empty.
void fill_status(const Outcome& outcome, pb::Status* status);

}  // namespace sandstore
