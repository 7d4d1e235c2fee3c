// Requests to servers, repeated until they end. A call to the leader follows hints and tries the other servers with
// jittered exponential backoff until its time is over; a call to one server is tried once. Each call ends exactly once,
// and never inside begin(): what ended comes back from on_reply() or on_timer().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/leader_finder.h"
#include "client/settings.h"
#include "messages/envelope.pb.h"
#include "runtime/actor.h"

namespace sandstore {

// Whom the end of a call concerns.
struct CallOwner {
    enum class Kind : uint8_t { kOperation, kMutation, kSession };
    Kind kind = Kind::kOperation;
    uint64_t id = 0;
    uint64_t tag = 0;  // The owner's own mark: which of its calls.
};

struct CallRequest {
    // kEachInTurn: any server, and the next call begins with the next one.
    enum class Target : uint8_t { kLeader, kAnyServer, kEachInTurn, kOneServer };
    CallOwner owner;
    Target target = Target::kLeader;
    pb::ActorKind actor = pb::ACTOR_FILES;
    std::string server;  // For kOneServer: host:port.
    Message message;
    uint64_t until_us = 0;            // The call ends by then.
    uint64_t attempt_timeout_us = 0;  // 0: as configured.
    uint64_t delay_us = 0;            // Before the first attempt.
};

struct CallEnd {
    CallOwner owner;
    pb::Status status;
    Message reply;  // The server's, when it was one.
    // An attempt went unanswered, so its effect is not known. Never with status OK.
    bool outcome_unknown = false;
};

class Calls {
 public:
    static constexpr uint32_t kTimerTag = 1;  // TimerFired with this tag goes to on_timer().

    void start(const ClientSettings& settings, const std::vector<std::string>& servers, Context& context);
    bool has_servers() const { return !finder_.empty(); }

    void begin(CallRequest request, Context& context);
    std::optional<CallEnd> on_reply(Message reply, Context& context);
    std::optional<CallEnd> on_timer(uint64_t call_id, Context& context);

    // Half to all of retry_min * 2^failures, at most retry_max, or `longest_us` where that is given.
    uint64_t backoff_us(unsigned failures, Context& context, uint64_t longest_us = 0) const;
    bool distrusted(std::string_view server, uint64_t now_us) const { return finder_.distrusted(server, now_us); }
    const LeaderFinder& finder() const { return finder_; }
    size_t open() const { return calls_.size(); }

 private:
    struct Call {
        CallRequest request;
        std::string server;  // Of the attempt under way.
        size_t any_index = 0;
        unsigned failures = 0;
        unsigned redirects = 0;  // Since the last pause.
        unsigned full_disks = 0;
        bool outcome_unknown = false;
        bool waiting = false;  // For a timer, not for a reply.
        std::string last_error;
    };
    enum class Next : uint8_t { kEnd, kAtOnce, kAfterPause };

    void attempt(uint64_t id, Call& call, Context& context);
    const std::string& any_server(Call& call, uint64_t now_us) const;
    void pause(uint64_t id, Call& call, uint64_t delay_us, Context& context);
    Next judge(Call& call, const pb::Status& status, bool from_runtime, Context& context);
    CallEnd end_out_of_time(uint64_t id);

    ClientSettings settings_;
    LeaderFinder finder_;
    std::unordered_map<uint64_t, Call> calls_;          // By call id. Looked up only, never walked.
    std::unordered_map<RequestId, uint64_t> attempts_;  // Request under way -> call id.
    uint64_t next_call_ = 1;
    size_t next_in_turn_ = 0;
};

// The status of any reply a server can give; INTERNAL for a body that is none.
pb::Status status_of_reply(const Message& reply);

}  // namespace sandstore
