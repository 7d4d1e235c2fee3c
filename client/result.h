// How a call of the blocking client ended: a status, and a value when it is OK.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "messages/common.pb.h"
#include "runtime/check.h"

namespace sandstore {

// The usual text of a code: "No such file or directory"; "out of time" for Sandstore's own.
std::string text_of(pb::StatusCode code);

// The message of an error that this machine's files gave, not the cluster.
inline constexpr std::string_view kOnThisMachine = "on this machine";

// How the message of a failed change begins where it is known that nothing came of it, and where it is not.
inline constexpr std::string_view kNothingChanged = "nothing was changed: ";
inline constexpr std::string_view kUploadGivenUp =
    "the cluster gave the upload up, since it did not hear of it for a minute: begin it again";
inline constexpr std::string_view kOutcomeUnknown = "the outcome is unknown: ";

struct [[nodiscard]] ClientStatus {
    pb::StatusCode code = pb::STATUS_OK;
    std::string message;  // What the server or the client said beyond the code; may be empty.

    ClientStatus() = default;
    explicit ClientStatus(pb::StatusCode status_code, std::string what = {})
        : code(status_code), message(std::move(what)) {}
    explicit ClientStatus(const pb::Status& status) : code(status.code()), message(status.message()) {}

    bool ok() const { return code == pb::STATUS_OK; }
    // For a person: the code's text, and the message where it says more.
    std::string text() const;
    bool is_of_a_given_up_upload() const;  // Of write_file(): it may be begun again.
};

template <typename Value>
class [[nodiscard]] Result {
 public:
    Result(Value value) : value_(std::move(value)) {}
    Result(ClientStatus status) : status_(std::move(status)) {}

    bool ok() const { return status_.ok(); }
    const ClientStatus& status() const { return status_; }
    pb::StatusCode code() const { return status_.code; }
    std::string text() const { return status_.text(); }
    const Value& value() const {
        SANDSTORE_CHECK(ok(), "the value of a failed call: ", status_.text());
        return value_;
    }
    const Value& operator*() const { return value(); }
    const Value* operator->() const { return &value(); }
    Value take() && {
        SANDSTORE_CHECK(ok(), "the value of a failed call: ", status_.text());
        return std::move(value_);
    }

 private:
    ClientStatus status_;
    Value value_{};
};

}  // namespace sandstore
