#include "tests/scenarios/runner/message_rules.h"

#include <algorithm>
#include <cctype>

#include "messages/envelope.pb.h"
#include "tests/sim/sim_network.h"

namespace sandstore {

namespace {

// "append_entries" -> "AppendEntries"
std::string camel_case(std::string_view name) {
    std::string out;
    bool up = true;
    for (const char letter : name) {
        if (letter == '_') {
            up = true;
            continue;
        }
        out += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(letter))) : letter;
        up = false;
    }
    return out;
}

bool is_of_type(const std::string& type, const std::string& wanted) {
    return wanted == "any" || type == wanted || (wanted == "AppendReply" && type == "AppendRefusal");
}

}  // namespace

std::string MessageRules::type_of(const Message& message) {
    if (message->has_request_vote() && message->request_vote().pre_vote()) return "PreVote";
    if (message->has_vote_reply() && message->vote_reply().pre_vote()) return "PreVoteReply";
    if (message->has_append_reply() && !message->append_reply().success()) return "AppendRefusal";
    return camel_case(body_name(message.envelope()));
}

bool MessageRules::is_type(const std::string& name) {
    if (name == "any" || name == "PreVote" || name == "PreVoteReply" || name == "AppendRefusal") return true;
    const google::protobuf::OneofDescriptor* body = pb::Envelope::descriptor()->FindOneofByName("body");
    for (int i = 0; i < body->field_count(); i++) {
        if (camel_case(body->field(i)->name()) == name) return true;
    }
    return false;
}

bool MessageRules::Rule::covers(const std::string& sender, const std::string& receiver, const Message& message) const {
    if (!is_of_type(type_of(message), type)) return false;
    if (!from.empty() && !from.contains(sender)) return false;
    if (!to.empty() && !to.contains(receiver)) return false;
    if (beyond == 0) return true;
    const pb::AppendEntries& append = message->append_entries();
    return append.record_count() > 0 && append.prev_log_index() + append.record_count() > beyond;
}

MessageRules::MessageRules(SimNetwork& network) : network_(network) {
    network_.take_over = [this](const std::string& from, const std::string& to, Message& message) {
        return take(from, to, message);
    };
}

bool MessageRules::pass(const std::string& type) {
    return std::erase_if(rules_, [&type](const Rule& rule) { return rule.type == type; }) > 0;
}

size_t MessageRules::release(bool backwards) {
    std::vector<Held> now = std::move(held_);
    held_.clear();
    if (backwards) std::reverse(now.begin(), now.end());
    uint64_t delay_us = 100;
    for (Held& held : now) network_.deliver_later(held.from, held.to, std::move(held.message), delay_us++);
    return now.size();
}

uint64_t MessageRules::sent(const std::string& type, const std::string& from, const std::string& to) const {
    uint64_t count = 0;
    for (const auto& [key, number] : sent_) {
        if (!is_of_type(key[0], type)) continue;
        if (from != "*" && key[1] != from) continue;
        if (to != "*" && key[2] != to) continue;
        count += number;
    }
    return count;
}

bool MessageRules::disturbs_candidate(const std::string& from, const Message& message) const {
    if (candidate_.empty() || from == candidate_) return false;
    return message->has_request_vote() || message->has_heartbeat() || message->has_append_entries() ||
           message->has_install_snapshot() || message->has_timeout_now();
}

bool MessageRules::take(const std::string& from, const std::string& to, Message& message) {
    const std::string type = type_of(message);
    sent_[{type, from, to}]++;
    if (on_send) on_send(from, to, type, message);
    if (disturbs_candidate(from, message)) return true;
    for (const Rule& rule : rules_) {
        if (!rule.covers(from, to, message)) continue;
        if (rule.fate == Fate::kDrop) return true;
        const bool hold = rule.fate == Fate::kHold;
        held_.push_back({from, to, hold ? std::move(message) : message.clone()});
        return hold;
    }
    return false;
}

}  // namespace sandstore
