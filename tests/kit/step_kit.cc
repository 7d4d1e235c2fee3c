#include "tests/kit/step_kit.h"

#include <gtest/gtest.h>

#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

StepKit::StepKit(std::unique_ptr<Actor> actor, LocalAddress self, uint64_t seed)
    : actor_(std::move(actor)), self_(self), random_(seed, static_cast<uint64_t>(self.actor)) {}

StepKit::~StepKit() = default;

void StepKit::deliver(Message message, Address from) {
    if (stopped_) return;
    if (message->from_actor() == pb::ACTOR_NONE) {
        message->set_from_node(from.node);
        message->set_from_actor(from.actor);
        message->set_from_instance(from.instance);
    }
    message->set_to_actor(self_.actor);
    message->set_to_instance(self_.instance);
    actor_->receive(std::move(message), *this);
}

uint64_t StepKit::request(Message message, Address from, uint64_t timeout_us) {
    const uint64_t id = next_outside_request_++;
    outside_[id] = from;
    message->set_request_id(id);
    message->set_deadline_us(now_us_ + timeout_us);
    deliver(std::move(message), from);
    return id;
}

void StepKit::answer(const Message& asked, Message reply) {
    ASSERT_NE(asked->request_id(), 0u) << "not a request: " << body_name(asked.envelope());
    reply->set_reply_to(asked->request_id());
    deliver(std::move(reply), receiver_of(asked));
}

void StepKit::fail(const Message& asked, pb::StatusCode code, std::string_view why) {
    answer(asked, request_failed(code, why));
}

void StepKit::advance(uint64_t microseconds) {
    const uint64_t until = now_us_ + microseconds;
    while (!timers_.empty() && timers_.begin()->first <= until) fire_next_timer();
    now_us_ = until;
}

bool StepKit::fire_next_timer() {
    if (timers_.empty()) return false;
    auto due = timers_.begin();
    now_us_ = std::max(now_us_, due->first);
    pb::TimerFired fired;
    fired.set_timer_id(due->second.id);
    fired.set_tag(due->second.tag);
    fired.set_data(due->second.data);
    timers_.erase(due);
    deliver(message_of(fired), self_);
    return true;
}

bool StepKit::has(pb::Envelope::BodyCase body) const {
    return count(body) > 0;
}

size_t StepKit::count(pb::Envelope::BodyCase body) const {
    size_t found = 0;
    for (const StepEffect& effect : effects_) found += effect.message->body_case() == body;
    return found;
}

std::optional<Message> StepKit::try_take(pb::Envelope::BodyCase body) {
    for (auto effect = effects_.begin(); effect != effects_.end(); ++effect) {
        if (effect->message->body_case() != body) continue;
        Message message = std::move(effect->message);
        effects_.erase(effect);
        return message;
    }
    return std::nullopt;
}

static std::string names_of(const std::deque<StepEffect>& effects) {
    std::string names;
    for (const StepEffect& effect : effects) {
        str_append(&names, names.empty() ? "" : ", ", body_name(effect.message.envelope()), " to ",
                   to_string(receiver_of(effect.message)));
    }
    return names.empty() ? "nothing" : names;
}

Message StepKit::take(pb::Envelope::BodyCase body) {
    std::optional<Message> found = try_take(body);
    if (found) return std::move(*found);
    ADD_FAILURE() << "expected a message with body case " << body << ", there is: " << names_of(effects_);
    return Message();
}

Message StepKit::take_to(pb::Envelope::BodyCase body, std::string_view node) {
    for (auto effect = effects_.begin(); effect != effects_.end(); ++effect) {
        if (effect->message->body_case() != body || effect->message->to_node() != node) continue;
        Message message = std::move(effect->message);
        effects_.erase(effect);
        return message;
    }
    ADD_FAILURE() << "expected body case " << body << " to " << node << ", there is: " << names_of(effects_);
    return Message();
}

Message StepKit::take_answer(uint64_t request_id) {
    for (auto effect = effects_.begin(); effect != effects_.end(); ++effect) {
        if (effect->message->reply_to() != request_id) continue;
        Message message = std::move(effect->message);
        effects_.erase(effect);
        return message;
    }
    ADD_FAILURE() << "no answer to request " << request_id << ", there is: " << names_of(effects_);
    return Message();
}

void StepKit::expect_nothing() const {
    EXPECT_TRUE(effects_.empty()) << "left: " << names_of(effects_);
}

bool StepKit::logged(std::string_view part) const {
    for (const std::string& line : lines_) {
        if (line.find(part) != std::string::npos) return true;
    }
    return false;
}

void StepKit::send(const Address& to, Message message) {
    message->set_from_actor(self_.actor);
    message->set_from_instance(self_.instance);
    message->set_to_node(to.node);
    message->set_to_actor(to.actor);
    message->set_to_instance(to.instance);
    effects_.push_back({std::move(message), 0});
}

RequestId StepKit::ask(const Address& to, Message message, uint64_t timeout_us) {
    const RequestId id = next_request_++;
    message->set_request_id(id);
    message->set_deadline_us(now_us_ + timeout_us);
    send(to, std::move(message));
    effects_.back().timeout_us = timeout_us;
    return id;
}

void StepKit::reply(const ReplyTo& to, Message message) {
    if (to.request_id == 0) return;
    message->set_reply_to(to.request_id);
    send(to.address, std::move(message));
}

TimerId StepKit::arm_timer(uint64_t delay_us, uint32_t tag, uint64_t data) {
    const TimerId id = next_timer_++;
    timers_.insert({now_us_ + delay_us, Timer{tag, data, id}});
    return id;
}

void StepKit::cancel_timer(TimerId timer) {
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
        if (it->second.id != timer) continue;
        timers_.erase(it);
        return;
    }
}

void StepKit::fail_stop(std::string reason) {
    if (!stopped_) stopped_ = std::move(reason);
}

void StepKit::log(LogLevel, std::string_view text, std::initializer_list<LogField> fields) {
    std::string line(text);
    for (const LogField& field : fields) str_append(&line, " ", field.name, "=", field.value);
    lines_.push_back(std::move(line));
}

}  // namespace sandstore
