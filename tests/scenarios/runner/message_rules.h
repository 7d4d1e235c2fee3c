// What a scenario does to messages between nodes: some are dropped, some held and let go later, of some a copy is kept
// that arrives a second time, late. Counts what was sent.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/message.h"

namespace sandstore {

class SimNetwork;

class MessageRules {
 public:
    enum class Fate { kDrop, kHold, kKeep };
    struct Rule {
        Fate fate = Fate::kDrop;
        std::string type;            // See type_of(); "any"; "AppendReply" is both kinds of it.
        std::set<std::string> from;  // Empty: whoever.
        std::set<std::string> to;    // Empty: whoever.
        uint64_t beyond = 0;         // Only AppendEntries with an entry of a higher index. 0: any.
        bool covers(const std::string& sender, const std::string& receiver, const Message& message) const;
    };

    explicit MessageRules(SimNetwork& network);
    // Sees what is sent, for people who look for what went wrong.
    std::function<void(const std::string& from, const std::string& to, const std::string& type, const Message&)>
        on_send;

    // The protobuf's name; PreVote, PreVoteReply and AppendRefusal are told apart from RequestVote, VoteReply and
    // AppendReply.
    static std::string type_of(const Message& message);
    static bool is_type(const std::string& name);

    void add(Rule rule) { rules_.push_back(std::move(rule)); }
    void pass_all() { rules_.clear(); }
    // Rules for this type end. False: there were none.
    bool pass(const std::string& type);
    // What was held and kept arrives now, in the order it was sent or the other way round.
    size_t release(bool backwards);
    void forget_held() { held_.clear(); }
    size_t held() const { return held_.size(); }
    uint64_t sent(const std::string& type, const std::string& from, const std::string& to) const;
    // While set, nobody else stands for election, and no leader but this one is heard.
    void set_candidate(const std::string& id) { candidate_ = id; }

 private:
    struct Held {
        std::string from;
        std::string to;
        Message message;
    };

    bool take(const std::string& from, const std::string& to, Message& message);
    bool disturbs_candidate(const std::string& from, const Message& message) const;

    SimNetwork& network_;
    std::vector<Rule> rules_;
    std::vector<Held> held_;
    std::string candidate_;
    std::map<std::vector<std::string>, uint64_t> sent_;  // By type, sender, receiver.
};

}  // namespace sandstore
