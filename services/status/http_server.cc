#include "services/status/http_server.h"

#include <event2/http.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <map>

#include "net/http_session.h"
#include "net/listener.h"
#include "runtime/metrics.h"
#include "runtime/text.h"
#include "services/status/http_answers.h"
#include "services/status/page_files.h"

namespace sandstore {
namespace {

constexpr uint64_t kEvictAfterUs = 100'000;  // So long a request has to come when others wait for the slot.
constexpr int kOk = 200, kNotModified = 304, kBadRequest = 400, kNotFound = 404, kMethodNotAllowed = 405,
              kUnknownMethod = 501, kUnavailable = 503;
constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";
// The page is one HTML, one CSS and one JavaScript file of this node; it asks this node alone, and nobody may frame it.
constexpr char kPagePolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// "Sat, 21 Nov 2026 13:34:16 GMT"
std::string http_date(uint64_t wall_us) {
    const auto seconds = static_cast<time_t>(wall_us / 1'000'000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    char text[40];
    return {text, strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string_view reason_of(int code) {
    struct Reason {
        int code;
        std::string_view text;
    };
    constexpr Reason kReasons[] = {{kOk, "OK"},
                                   {kNotModified, "Not Modified"},
                                   {kBadRequest, "Bad Request"},
                                   {kNotFound, "Not Found"},
                                   {kMethodNotAllowed, "Method Not Allowed"},
                                   {411, "Length Required"},
                                   {412, "Precondition Failed"},
                                   {413, "Content Too Large"},
                                   {431, "Request Header Fields Too Large"},
                                   {kUnknownMethod, "Not Implemented"},
                                   {kUnavailable, "Service Unavailable"},
                                   {505, "HTTP Version Not Supported"}};
    const auto* found = std::ranges::find(kReasons, code, &Reason::code);
    return found == std::end(kReasons) ? "Unknown" : found->text;
}

QueryParameters query_of(std::string_view rest) {
    QueryParameters parameters;
    const auto decoded = [](std::string_view text) {
        size_t length = 0;
        char* bytes = evhttp_uridecode(std::string(text).c_str(), 1, &length);
        const std::string value(bytes == nullptr ? "" : bytes, bytes == nullptr ? 0 : length);
        free(bytes);
        return value;
    };
    // A name may have no value, as in ?verbose.
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

class HttpServer::Server : public std::enable_shared_from_this<Server>, private HttpSessionOwner {
 public:
    Server(event_base* base, PortHost& host, std::string node_id, AskStatus ask_status,
           const HttpServerOptions& options)
        : net_(base, host),
          node_id_(std::move(node_id)),
          ask_status_(std::move(ask_status)),
          options_(options),
          listener_(
              net_, [this](int socket, std::string) { on_accept(socket); }, options.accepted_below) {
        listener_.set_wait([this] { return wait_for_slot_us(); });
    }

    ~Server() override {
        for (const auto& [number, question] : questions_) {
            send(*sessions_.at(number), error_answer(kUnavailable, "the node is stopping"));
        }
    }

    std::string listen(std::string_view address) { return listener_.listen(address); }
    uint16_t port() const { return listener_.port(); }
    void close_listener() { listener_.close(); }
    void add_handler(std::string path, HttpHandler handler) { handlers_[std::move(path)] = std::move(handler); }

 private:
    struct Question {
        const StatusRoute* route;
        QueryParameters query;
    };

    void on_accept(int socket) {
        if (sessions_.size() >= options_.connections_max && !evict_oldest()) {
            net_.count_refused("too_many_http_connections");
            ::close(socket);
            return;
        }
        const HttpSession::Limits limits{options_.timeout_us, options_.body_bytes_max};
        const uint64_t number = ++last_session_;
        HttpSessionOwner& owner = *this;  // A private base: converted here, where it is known.
        sessions_.emplace(number,
                          std::make_unique<HttpSession>(net_.base, limits, number, socket, net_.host.now_us(), owner));
    }

    using Sessions = std::map<uint64_t, std::unique_ptr<HttpSession>>;

    // Of those who have done nothing yet but be connected.
    Sessions::iterator oldest_idle() {
        return std::ranges::find_if(sessions_, [](const auto& entry) { return !entry.second->asked(); });
    }

    // Until one of those who hold the slots may be evicted, others wait in the system's queue rather than be refused.
    uint64_t wait_for_slot_us() {
        if (sessions_.size() < options_.connections_max) return 0;
        const auto oldest = oldest_idle();
        if (oldest == sessions_.end()) return 0;
        const uint64_t due_us = oldest->second->since_us() + kEvictAfterUs;
        return due_us - std::min(due_us, net_.host.now_us());
    }

    // Whoever has the longest time done nothing but be connected makes room.
    bool evict_oldest() {
        const auto oldest = oldest_idle();
        if (oldest == sessions_.end()) return false;
        net_.count_refused("idle_http_connection");
        sessions_.erase(oldest);
        return true;
    }

    void on_closed(HttpSession& session) override {
        questions_.erase(session.number());
        sessions_.erase(session.number());  // Destroys it.
    }

    void on_malformed(HttpSession& session, int code, std::string_view why) override {
        send(session, error_answer(code, std::string(why)));
    }

    void on_request(HttpSession& session) override {
        const std::string_view target = session.head().second;
        const std::string_view path = target.substr(0, target.find_first_of("?#"));
        const std::string_view method = session.head().first;
        if (std::ranges::count(kMethods, method) == 0) {
            return send(session, error_answer(kUnknownMethod, "this method is not known here"));
        }
        if (const auto handler = handlers_.find(path); handler != handlers_.end()) {
            return handle_by(handler->second, session);
        }
        const StatusRoute* route = find_status_route(path);
        const PageFile* file = find_page_file(path);
        if (route == nullptr && file == nullptr && path != "/livez" && path != "/metrics") {
            return send(session, error_answer(kNotFound,
                                              "not found; try /, /livez, /readyz, /health, /health?maintenance, "
                                              "/status, /history, /events or /metrics"));
        }
        if (method != "GET" && method != "HEAD") {
            return send(session, error_answer(kMethodNotAllowed, "only GET is possible here"), "Allow: GET, HEAD\r\n");
        }
        if (file != nullptr) return send_file(session, *file);
        if (path == "/livez") return send(session, {kOk, kTextType, "ok\n"});
        if (path == "/metrics") return send(session, {kOk, kPrometheus, net_.host.metrics().render()});
        std::string_view query = target.substr(path.size());
        query = query.substr(0, query.find('#'));
        ask(session, *route, query_of(query.starts_with('?') ? query.substr(1) : ""));
    }

    void handle_by(const HttpHandler& handler, HttpSession& session) {
        const bool post = session.head().first == "POST";
        if (!post && session.head().first != "GET") {
            return send(session, error_answer(kMethodNotAllowed, "only GET and POST are possible here"),
                        "Allow: GET, POST\r\n");
        }
        send(session, handler(post, session.body()));
    }

    void ask(HttpSession& session, const StatusRoute& route, QueryParameters query) {
        pb::ClusterStatusRequest asked;
        std::string error;
        if (!question_of(route, query, &asked, &error)) return send(session, error_answer(kBadRequest, error));
        if (questions_.size() >= options_.questions_max) {
            return send(session, error_answer(kUnavailable, "too many requests at once"));
        }
        const uint64_t number = session.number();
        questions_[number] = {&route, std::move(query)};
        ask_status_(std::move(asked),
                    [weak = weak_from_this(), number](const pb::ClusterStatus* status, std::string problem) {
                        if (const auto server = weak.lock()) server->answer(number, status, problem);
                    });
    }

    void answer(uint64_t number, const pb::ClusterStatus* status, std::string error) {
        const auto found = questions_.find(number);
        if (found == questions_.end()) return;
        const Question question = std::move(questions_.extract(found).mapped());
        HttpSession& session = *sessions_.at(number);
        if (status != nullptr && status->status().code() != pb::STATUS_OK) {
            error = status->status().message();
            status = nullptr;
        }
        if (status != nullptr) return send(session, question.route->answer(*status, node_id_, question.query));
        if (question.route->failure == nullptr) return send(session, error_answer(kUnavailable, error));
        send(session, question.route->failure(error, question.query));
    }

    void send_file(HttpSession& session, const PageFile& file) {
        const std::string headers = str_cat("Content-Security-Policy: ", kPagePolicy,
                                            "\r\nReferrer-Policy: no-referrer\r\nETag: ", file.etag, "\r\n");
        if (session.head().if_none_match.find(file.etag) != std::string::npos) {
            return send(session, {kNotModified, file.content_type, ""}, headers, "no-cache");
        }
        send(session, {kOk, file.content_type, std::string(file.content)}, headers, "no-cache");
    }

    void send(HttpSession& session, const HttpAnswerText& answer, std::string_view headers = "",
              std::string_view caching = "no-store") {
        // By the date others tell how far this node's clock is from theirs.
        std::string bytes =
            str_cat("HTTP/1.1 ", answer.code, " ", reason_of(answer.code), "\r\nDate: ", http_date(net_.host.wall_us()),
                    "\r\n", headers, "Content-Type: ", answer.type, "\r\nX-Content-Type-Options: nosniff\r\n",
                    "Cache-Control: ", caching, "\r\nConnection: close\r\n");
        // A 304 has no body.
        if (answer.code != kNotModified) str_append(&bytes, "Content-Length: ", answer.body.size(), "\r\n");
        bytes += "\r\n";
        if (session.head().first != "HEAD" && answer.code != kNotModified) bytes += answer.body;
        net_.host.metrics()
            .counter("sandstore_http_responses_total", "Answers of the HTTP server.",
                     {{"code", std::to_string(answer.code)}})
            .add();
        session.answer(std::move(bytes));
    }

    NetContext net_;
    const std::string node_id_;
    AskStatus ask_status_;
    HttpServerOptions options_;
    Listener listener_;
    Sessions sessions_;  // By number: the oldest first.
    uint64_t last_session_ = 0;
    std::map<uint64_t, Question> questions_;  // By the number of the session that waits.
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
