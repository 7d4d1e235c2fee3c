#include "net/http_server.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "net/event_handle.h"
#include "net/http_answers.h"
#include "net/listener.h"
#include "net/page_files.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr uint64_t kAcceptPauseUs = 250'000;
constexpr int kOk = 200, kNotModified = 304, kBadRequest = 400, kNotFound = 404, kMethodNotAllowed = 405,
              kUnavailable = 503;
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";
// The page is one HTML, one CSS and one JavaScript file of this node; it asks this node alone, and nobody may frame it.
constexpr char kPagePolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

QueryParameters query_of(const evhttp_uri* uri) {
    QueryParameters parameters;
    const char* query = evhttp_uri_get_query(uri);
    std::string_view rest = query == nullptr ? "" : query;
    const auto decoded = [](std::string_view text) {
        size_t length = 0;
        char* bytes = evhttp_uridecode(std::string(text).c_str(), 1, &length);
        const std::string value(bytes == nullptr ? "" : bytes, bytes == nullptr ? 0 : length);
        free(bytes);
        return value;
    };
    // libevent's own parser refuses a name without a value, as in ?verbose.
    while (!rest.empty()) {
        const std::string_view part = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), part.size() + 1));
        const size_t equals = part.find('=');
        const std::string_view value = equals == std::string_view::npos ? "" : part.substr(equals + 1);
        if (!part.empty()) parameters.emplace(decoded(part.substr(0, equals)), decoded(value));
    }
    return parameters;
}

}  // namespace

class HttpServer::Server : public std::enable_shared_from_this<Server> {
 public:
    Server(event_base* base, PortHost& host, std::string node_id, AskStatus ask_status,
           const HttpServerOptions& options)
        : host_(host),
          node_id_(std::move(node_id)),
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
            send(question.request, error_answer(kUnavailable, "the node is stopping"));
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
        const StatusRoute* route;
        QueryParameters query;
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
        const StatusRoute* route = find_status_route(path);
        const PageFile* file = find_page_file(path);
        if (route == nullptr && file == nullptr && path != "/livez" && path != "/metrics") {
            return send(request, error_answer(kNotFound,
                                              "not found; try /, /livez, /readyz, /health, /health?maintenance, "
                                              "/status, /history, /events or /metrics"));
        }
        const evhttp_cmd_type method = evhttp_request_get_command(request);
        if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
            evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
            return send(request, error_answer(kMethodNotAllowed, "only GET is possible here"));
        }
        if (file != nullptr) return send_file(request, *file);
        if (path == "/livez") return send(request, {kOk, kTextType, "ok\n"});
        if (path == "/metrics") return send(request, {kOk, kPrometheus, host_.metrics().render()});
        ask(request, *route, query_of(uri));
    }

    void handle_by(const HttpHandler& handler, evhttp_request* request) {
        const evhttp_cmd_type method = evhttp_request_get_command(request);
        if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_POST) {
            evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, POST");
            return send(request, error_answer(kMethodNotAllowed, "only GET and POST are possible here"));
        }
        evbuffer* input = evhttp_request_get_input_buffer(request);
        std::string body(evbuffer_get_length(input), '\0');
        evbuffer_copyout(input, body.data(), body.size());
        send(request, handler(method == EVHTTP_REQ_POST, body));
    }

    void ask(evhttp_request* request, const StatusRoute& route, QueryParameters query) {
        pb::ClusterStatusRequest asked;
        std::string error;
        if (!question_of(route, query, &asked, &error)) return send(request, error_answer(kBadRequest, error));
        if (questions_.size() >= options_.questions_max) {
            return send(request, error_answer(kUnavailable, "too many requests at once"));
        }
        const uint64_t number = ++last_question_;
        questions_[number] = {request, &route, std::move(query)};
        ask_status_(std::move(asked),
                    [weak = weak_from_this(), number](const pb::ClusterStatus* status, std::string problem) {
                        if (const auto server = weak.lock()) server->answer(number, status, problem);
                    });
    }

    void answer(uint64_t number, const pb::ClusterStatus* status, std::string error) {
        const auto found = questions_.find(number);
        if (found == questions_.end()) return;
        const Question question = std::move(questions_.extract(found).mapped());
        if (status != nullptr && status->status().code() != pb::STATUS_OK) {
            error = status->status().message();
            status = nullptr;
        }
        if (status != nullptr) return send(question.request, question.route->answer(*status, node_id_, question.query));
        if (question.route->failure == nullptr) return send(question.request, error_answer(kUnavailable, error));
        send(question.request, question.route->failure(error, question.query));
    }

    void send_file(evhttp_request* request, const PageFile& file) {
        evkeyvalq* headers = evhttp_request_get_output_headers(request);
        evhttp_add_header(headers, "Content-Security-Policy", kPagePolicy);
        evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
        evhttp_add_header(headers, "ETag", std::string(file.etag).c_str());
        const char* known = evhttp_find_header(evhttp_request_get_input_headers(request), "If-None-Match");
        if (known != nullptr && std::string_view(known).find(file.etag) != std::string_view::npos) {
            return send(request, {kNotModified, file.content_type, ""}, "no-cache");
        }
        send(request, {kOk, file.content_type, std::string(file.content)}, "no-cache");
    }

    // Also for a request whose connection has gone: then it only ends.
    void send(evhttp_request* request, const HttpAnswerText& answer, const char* caching = "no-store") {
        evkeyvalq* headers = evhttp_request_get_output_headers(request);
        evhttp_add_header(headers, "Content-Type", std::string(answer.type).c_str());
        // A 304 has no body.
        if (answer.code != kNotModified) {
            evhttp_add_header(headers, "Content-Length", std::to_string(answer.body.size()).c_str());
        }
        evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
        evhttp_add_header(headers, "Cache-Control", caching);
        evhttp_add_header(headers, "Connection", "close");
        const bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
        if (!head) evbuffer_add(evhttp_request_get_output_buffer(request), answer.body.data(), answer.body.size());
        host_.metrics()
            .counter("sandstore_http_responses_total", "Answers of the HTTP server.",
                     {{"code", std::to_string(answer.code)}})
            .add();
        evhttp_send_reply(request, answer.code, nullptr, nullptr);
    }

    PortHost& host_;
    const std::string node_id_;
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

HttpServer::HttpServer(event_base* base, PortHost& host, std::string node_id, AskStatus ask_status,
                       HttpServerOptions options)
    : server_(std::make_shared<Server>(base, host, std::move(node_id), std::move(ask_status), options)) {}

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
