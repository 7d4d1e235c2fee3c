#include "tests/sim/sim_ports.h"

#include <cstdint>
#include <memory>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

constexpr uint64_t kHungRetryUs = 10'000;

std::string base64(const std::string& bytes) {
    static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) {
            group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
        }
        for (size_t k = 0; k < 4; k++) {
            out += i + k > bytes.size() ? '=' : kLetters[group >> (18 - 6 * k) & 63];
        }
    }
    return out;
}

}  // namespace

SimDiskPort::SimDiskPort(SimRuntime& runtime, Dispatcher& dispatcher, SimDisk& disk, LocalAddress self, bool ordered)
    : runtime_(runtime), dispatcher_(dispatcher), disk_(disk), self_(self), ordered_(ordered) {}

void SimDiskPort::handle(Message message) {
    if (ordered_ && busy_) {
        waiting_.push_back(std::move(message));
        return;
    }
    begin(std::move(message));
}

void SimDiskPort::begin(Message message) {
    busy_ = true;
    try_later(std::make_shared<Message>(std::move(message)));
}

void SimDiskPort::try_later(std::shared_ptr<Message> message) {
    const std::optional<uint64_t> delay_us = disk_.delay_us((*message)->disk_request());
    runtime_.schedule(
        delay_us.value_or(kHungRetryUs),
        [this, message, hung = !delay_us] {
            if (hung) {
                try_later(message);
            } else {
                execute(*message);
            }
        },
        dispatcher_.node_id());
}

void SimDiskPort::execute(const Message& message) {
    Payload bytes;
    pb::DiskReply reply = disk_.execute(message->disk_request(), message.payload, &bytes);
    dispatcher_.reply(reply_to(message), self_, message_of(std::move(reply), std::move(bytes)));
    busy_ = false;
    if (!ordered_ || waiting_.empty()) return;
    Message next = std::move(waiting_.front());
    waiting_.pop_front();
    begin(std::move(next));
}

std::string SimEtcd::range_answer(const std::string& node) const {
    const auto own = told.find(node);
    const Records& known = own == told.end() ? records : own->second;
    std::string list;
    for (const auto& [key, value] : known) {
        if (!list.empty()) list += ",";
        list += R"({"key":")" + base64(key) + R"(","create_revision":"2","mod_revision":"2","version":"1","value":")" +
                base64(value) + R"("})";
    }
    const std::string header = R"("header":{"cluster_id":"1","member_id":"1","revision":"9","raft_term":"2"})";
    if (list.empty()) return "{" + header + "}";
    return "{" + header + R"(,"kvs":[)" + list + R"(],"count":")" + std::to_string(known.size()) + R"("})";
}

void SimEtcdPort::handle(Message message) {
    pb::HttpReply reply;
    Payload body;
    if (etcd_.is_up) {
        reply.set_code(200);
        body = Payload(etcd_.range_answer(dispatcher_.node_id()));
    } else {
        reply.set_error("connection refused");
    }
    auto answer = std::make_shared<Message>(message_of(std::move(reply), std::move(body)));
    runtime_.schedule(
        200 + runtime_.random().below(2'000),
        [this, to = reply_to(message), answer] {
            dispatcher_.reply(to, {pb::PORT_HTTP_CLIENT, 0}, std::move(*answer));
        },
        dispatcher_.node_id());
}

}  // namespace sandstore
