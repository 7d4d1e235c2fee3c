#include "net/http_server.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <unistd.h>

#include <map>

#include "net/event_handle.h"
#include "net/listener.h"
#include "net/status_json.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr uint64_t kAppliedLagMax = 1000;  // Entries behind the commit index that still count as ready.
constexpr uint64_t kAcceptPauseUs = 250'000;
constexpr int kOk = 200, kNotFound = 404, kMethodNotAllowed = 405, kUnavailable = 503;
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) < ' ') {
            out += ' ';
        } else {
            out += c;
        }
    }
    return out + "\"";
}

std::string error_json(std::string_view error) {
    return str_cat("{\"error\": ", json_text(error), "}\n");
}

}  // namespace

std::vector<ReadyCheck> ready_checks(const pb::ClusterStatus* local_status, const std::string& error) {
    if (local_status == nullptr) return {{"status", false, error}};
    if (local_status->status().code() != pb::STATUS_OK) return {{"status", false, local_status->status().message()}};
    if (local_status->nodes().empty()) return {{"status", false, "the node does not report itself"}};
    const pb::NodeStatus& node = local_status->nodes(0);
    const pb::RaftStatus& raft = node.raft();
    const bool started = node.up() && node.has_raft();
    const bool led = started && !raft.leader_id().empty();
    const bool caught_up = started && raft.applied_index() + kAppliedLagMax >= raft.commit_index();
    const std::string waits = node.detail().empty() ? "the node is still starting" : node.detail();
    return {
        {"status", true, "ok"},
        {"started", started, started ? "ok" : waits},
        {"leader", led,
         led                     ? raft.leader_id()
         : node.detail().empty() ? "no leader is known"
                                 : node.detail()},
        {"applied", caught_up, str_cat("applied ", raft.applied_index(), " of ", raft.commit_index(), " committed")},
    };
}

class HttpServer::Server : public std::enable_shared_from_this<Server> {
 public:
    Server(event_base* base, PortHost& host, AskStatus ask_status, const HttpServerOptions& options)
        : host_(host),
          ask_status_(std::move(ask_status)),
          options_(options),
          http_(evhttp_new(base)),
          resume_timer_(base, [this] { resume_accepting(); }) {
        const timeval timeout{static_cast<time_t>(options.timeout_us / 1'000'000),
                              static_cast<suseconds_t>(options.timeout_us % 1'000'000)};
        evhttp_set_timeout_tv(http_.get(), &timeout);  // Without it an idle connection stays for ever,
        evhttp_set_max_headers_size(http_.get(), static_cast<ev_ssize_t>(options.header_bytes_max));  // and these are
        evhttp_set_max_body_size(http_.get(), static_cast<ev_ssize_t>(options.body_bytes_max));       // unlimited.
        // Methods not named here are answered 501 by libevent.
        evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                                    EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
        evhttp_set_gencb(http_.get(), &Server::on_request, this);
    }

    ~Server() {
        // A request that waits for its status belongs to whoever answers it.
        for (const auto& [number, question] : questions_) {
            send(question.request, kUnavailable, kJson, error_json("the node is stopping"));
        }
    }

    std::string listen(std::string_view address) {
        std::string error;
        const int socket = open_listening_socket(address, &error);
        if (socket < 0) return error;
        close_listener();
        bound_ = evhttp_accept_socket_with_handle(http_.get(), socket);
        if (bound_ == nullptr) {
            ::close(socket);
            return str_cat("cannot listen on ", address, ": libevent refused the socket");
        }
        port_ = port_of_socket(socket);
        // libevent's own way with an accept that fails for want of descriptors is to try again at once, for ever. The
        // callback is given no way to find this object: it stops accepting, and the timer begins again.
        evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound_),
                                    [](evconnlistener* listener, void*) { evconnlistener_disable(listener); });
        resume_timer_.start_us(kAcceptPauseUs);
        return "";
    }

    uint16_t port() const { return port_; }

    void close_listener() {
        if (bound_ != nullptr) evhttp_del_accept_socket(http_.get(), bound_);
        bound_ = nullptr;
    }

    void add_handler(std::string path, HttpHandler handler) { handlers_[std::move(path)] = std::move(handler); }

 private:
    struct Question {
        evhttp_request* request;
        bool ready;  // /readyz, else /status.
        bool verbose;
    };
    struct HttpFree {
        void operator()(evhttp* http) const { evhttp_free(http); }
    };

    static void on_request(evhttp_request* request, void* self) { static_cast<Server*>(self)->route(request); }

    void resume_accepting() {
        if (bound_ == nullptr) return;
        evconnlistener_enable(evhttp_bound_socket_get_listener(bound_));
        resume_timer_.start_us(kAcceptPauseUs);
    }

    void route(evhttp_request* request) {
        const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
        const char* path_text = uri == nullptr ? nullptr : evhttp_uri_get_path(uri);
        const std::string_view path = path_text == nullptr ? "" : path_text;
        if (const auto handler = handlers_.find(path); handler != handlers_.end()) {
            return handle_by(handler->second, request);
        }
        if (path != "/livez" && path != "/readyz" && path != "/status" && path != "/metrics") {
            return send(request, kNotFound, kJson, error_json("not found; try /livez, /readyz, /status or /metrics"));
        }
        const evhttp_cmd_type method = evhttp_request_get_command(request);
        if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
            evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
            return send(request, kMethodNotAllowed, kJson, error_json("only GET is possible here"));
        }
        if (path == "/livez") return send(request, kOk, kText, "ok\n");
        if (path == "/metrics") return send(request, kOk, kPrometheus, host_.metrics().render());
        const char* query = evhttp_uri_get_query(uri);
        const std::string_view options = query == nullptr ? "" : query;
        ask(request, path == "/readyz", options == "verbose" || options.starts_with("verbose="));
    }

    void handle_by(const HttpHandler& handler, evhttp_request* request) {
        const evhttp_cmd_type method = evhttp_request_get_command(request);
        if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_POST) {
            evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, POST");
            return send(request, kMethodNotAllowed, kJson, error_json("only GET and POST are possible here"));
        }
        evbuffer* input = evhttp_request_get_input_buffer(request);
        std::string body(evbuffer_get_length(input), '\0');
        evbuffer_copyout(input, body.data(), body.size());
        const HttpAnswer answer = handler(method == EVHTTP_REQ_POST, body);
        send(request, answer.code, kJson, answer.json);
    }

    void ask(evhttp_request* request, bool ready, bool verbose) {
        if (questions_.size() >= options_.questions_max) {
            return send(request, kUnavailable, kJson, error_json("too many requests at once"));
        }
        const uint64_t number = ++last_question_;
        questions_[number] = {request, ready, verbose};
        ask_status_(ready, [weak = weak_from_this(), number](const pb::ClusterStatus* status, std::string error) {
            if (const auto server = weak.lock()) server->answer(number, status, error);
        });
    }

    void answer(uint64_t number, const pb::ClusterStatus* status, const std::string& error) {
        const auto found = questions_.find(number);
        if (found == questions_.end()) return;
        const Question question = found->second;
        questions_.erase(found);
        if (question.ready) return answer_ready(question, status, error);
        if (status == nullptr) return send(question.request, kUnavailable, kJson, error_json(error));
        if (status->status().code() != pb::STATUS_OK) {
            return send(question.request, kUnavailable, kJson, error_json(status->status().message()));
        }
        send(question.request, kOk, kJson, status_json_text(*status));
    }

    void answer_ready(const Question& question, const pb::ClusterStatus* status, const std::string& error) {
        std::string text, why;
        for (const ReadyCheck& check : ready_checks(status, error)) {
            str_append(&text, check.passed ? "[+] " : "[-] ", check.name, ": ", check.detail, "\n");
            if (!check.passed && why.empty()) why = check.detail;
        }
        if (why.empty()) {
            send(question.request, kOk, kText, question.verbose ? text + "ready\n" : "ok\n");
        } else {
            send(question.request, kUnavailable, kText, question.verbose ? text + "not ready\n" : why + "\n");
        }
    }

    // Also for a request whose connection has gone: then it only ends.
    void send(evhttp_request* request, int code, std::string_view type, std::string_view body) {
        evkeyvalq* headers = evhttp_request_get_output_headers(request);
        evhttp_add_header(headers, "Content-Type", std::string(type).c_str());
        evhttp_add_header(headers, "Content-Length", std::to_string(body.size()).c_str());
        evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
        evhttp_add_header(headers, "Cache-Control", "no-store");
        evhttp_add_header(headers, "Connection", "close");
        const bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
        if (!head) evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
        host_.metrics()
            .counter("sandstore_http_responses_total", "Answers of the HTTP server.", {{"code", std::to_string(code)}})
            .add();
        evhttp_send_reply(request, code, nullptr, nullptr);
    }

    PortHost& host_;
    AskStatus ask_status_;
    HttpServerOptions options_;
    std::unique_ptr<evhttp, HttpFree> http_;
    LoopTimer resume_timer_;
    evhttp_bound_socket* bound_ = nullptr;  // Belongs to http_.
    uint16_t port_ = 0;
    std::map<uint64_t, Question> questions_;
    uint64_t last_question_ = 0;
    std::map<std::string, HttpHandler, std::less<>> handlers_;
};

HttpServer::HttpServer(event_base* base, PortHost& host, AskStatus ask_status, HttpServerOptions options)
    : server_(std::make_shared<Server>(base, host, std::move(ask_status), options)) {}

HttpServer::~HttpServer() = default;

std::string HttpServer::listen(std::string_view address) {
    return server_->listen(address);
}

uint16_t HttpServer::port() const {
    return server_->port();
}

void HttpServer::add_handler(std::string path, HttpHandler handler) {
    server_->add_handler(std::move(path), std::move(handler));
}

void HttpServer::close_listener() {
    server_->close_listener();
}

}  // namespace sandstore
