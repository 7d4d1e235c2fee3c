// Health, metrics and status over HTTP: the status page (GET /), /livez, /metrics, and the answers of http_answers.h.
// Everything else is a JSON error. It knows no actors: main gives it the function that asks for the status.
//
// Each connection is closed after one answer, and when its request is not whole after `timeout_us`; headers and bodies
// are small. When all connections are taken, the one that has been silent for longest makes room for a new one. So what
// strangers can occupy stays bounded, and they cannot lock others out.
#pragma once

#include <climits>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "messages/cluster.pb.h"
#include "runtime/actor.h"
#include "services/status/http_answers.h"

struct event_base;

namespace sandstore {

// Asks this node's StatusService; `done` is called once, with a status or (null) with a sentence.
using StatusDone = std::function<void(const pb::ClusterStatus* status, std::string error)>;
using AskStatus = std::function<void(pb::ClusterStatusRequest question, StatusDone done)>;

// What a program behind a path of its own answers to GET and POST.
using HttpHandler = std::function<HttpAnswerText(bool post, std::string_view body)>;

struct HttpServerOptions {
    uint64_t timeout_us = 5'000'000;
    size_t connections_max = 64;
    int accepted_below = INT_MAX;  // See Listener.
    size_t body_bytes_max = 4 << 10;
    size_t questions_max = 64;  // To the StatusService at once; beyond it the answer is 503.
};

class HttpServer {
 public:
    HttpServer(event_base* base, PortHost& host, std::string node_id, AskStatus ask_status,
               HttpServerOptions options = {});
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    [[nodiscard]] std::string listen(std::string_view address);  // Empty, or a sentence that names the address.
    uint16_t port() const;
    void close_listener();
    // Before the first request. `handler` runs on the loop and must not wait.
    void add_handler(std::string path, HttpHandler handler);

 private:
    class Server;
    std::shared_ptr<Server> server_;
};

}  // namespace sandstore
