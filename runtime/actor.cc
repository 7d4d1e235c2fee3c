#include "runtime/actor.h"

#include "messages/envelope.pb.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

void Context::unexpected(const Message& message) {
    const std::string name(body_name(message.envelope()));
    metrics()
        .counter("sandstore_messages_unexpected_total", "Messages that the receiving actor does not know.",
                 {{"actor", std::string(actor_name(self().actor))}, {"message", name}})
        .add();
    warn("unexpected message", {{"message", name}, {"from", to_string(sender_of(message))}});
    reply(reply_to(message),
          request_failed(pb::STATUS_INVALID_ARGUMENT, str_cat(actor_name(self().actor), " does not answer ", name)));
}

}  // namespace sandstore
