// What operators ask of any node (ChangeMembership, TransferLeadership, RequestSnapshot), passed on to the RaftNode
// that it is for: the leader's, or for a snapshot the one named; and AllowDeletions, for the Repairer of the node
// named. A part of the StatusService.
//
// Each request is answered exactly once, by its own kind of reply, within the asker's deadline: by the RaftNode, or
// with the reason why it was not reached. NOT_LEADER that names another leader is followed, a few times. A request is
// never sent a second time after it may have been taken in: the outcome is then told as unknown.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "messages/envelope.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class OperatorRequests {
 public:
    static constexpr size_t kForwardedMax = 64;
    static constexpr unsigned kRedirectsMax = 4;
    static constexpr uint64_t kDefaultTimeoutUs = 60'000'000;  // When the asker gave no deadline.

    // The address of a node as this one knows it; empty: unknown.
    using AddressOf = std::function<std::string(std::string_view node)>;

    void set_self(std::string node_id) { self_ = std::move(node_id); }
    void set_leader(std::string node_id) { leader_ = std::move(node_id); }

    void begin(Message message, const AddressOf& address_of, Context& context);
    // Whether the message answered one of the requests passed on.
    bool on_answer(const Message& message, Context& context);

 private:
    struct Forwarded {
        ReplyTo asker;
        Message request;  // The body alone.
        std::string node;
        unsigned redirects = 0;
    };

    void forward(Forwarded forwarded, Context& context);
    void refuse(const Forwarded& forwarded, pb::StatusCode code, std::string_view why, Context& context) const;

    std::string self_;
    std::string leader_;  // Empty: unknown.
    std::map<RequestId, Forwarded> forwarded_;
};

}  // namespace sandstore
