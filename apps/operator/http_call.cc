#include "apps/operator/http_call.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netdb.h>

#include <memory>

#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr ev_ssize_t kResponseBytesMax = 8 << 20;
constexpr std::string_view kScheme = "http://";

template <auto Free>
struct FreeWith {
    void operator()(auto* object) const { Free(object); }
};
using Loop = std::unique_ptr<event_base, FreeWith<event_base_free>>;
using HttpConnection = std::unique_ptr<evhttp_connection, FreeWith<evhttp_connection_free>>;

struct Call {
    HttpAnswer answer;
    event_base* loop = nullptr;
    bool done = false;
};

struct Place {
    std::string host_and_port;  // As the URL has it.
    std::string host;
    std::string port = "80";
    std::string path = "/";
};

// Empty when it is not of the form http://host[:port][/path].
std::string parse_url(std::string_view url, Place* place) {
    if (!url.starts_with(kScheme)) return "only http:// is spoken";
    url.remove_prefix(kScheme.size());
    const size_t slash = url.find('/');
    if (slash != std::string_view::npos) place->path = url.substr(slash);
    std::string_view host = url.substr(0, slash);
    place->host_and_port = host;
    const size_t colon = host.rfind(':');
    const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
    if (has_port) {
        place->port = host.substr(colon + 1);
        host = host.substr(0, colon);
    }
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty()) return "no host";
    place->host = host;
    return "";
}

void on_error(evhttp_request_error error, void* self) {
    Call& call = *static_cast<Call*>(self);
    switch (error) {
        case EVREQ_HTTP_TIMEOUT:
            call.answer.error = "no answer in time";
            break;
        case EVREQ_HTTP_EOF:
            call.answer.error = "the connection was closed before the answer";
            break;
        case EVREQ_HTTP_DATA_TOO_LONG:
            call.answer.error = "the answer is too long";
            break;
        default:
            call.answer.error = "the answer is not HTTP";
    }
}

// With code 0 nothing answered; with no request at all an error was told before.
void on_done(evhttp_request* request, void* self) {
    Call& call = *static_cast<Call*>(self);
    call.done = true;
    event_base_loopbreak(call.loop);
    if (request == nullptr) return;
    call.answer.code = evhttp_request_get_response_code(request);
    if (call.answer.code == 0) {
        if (call.answer.error.empty()) call.answer.error = "cannot connect";
        return;
    }
    evbuffer* body = evhttp_request_get_input_buffer(request);
    call.answer.body.resize(evbuffer_get_length(body));
    evbuffer_copyout(body, call.answer.body.data(), call.answer.body.size());
}

// Asks one address; event_base_dispatch returns when that is over.
HttpAnswer ask(const addrinfo& address, const Place& place, std::string_view json_body, const timeval& timeout) {
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo(address.ai_addr, address.ai_addrlen, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return {0, "an address that is none", ""};
    }
    Call call;
    const Loop loop(event_base_new());
    call.loop = loop.get();
    const HttpConnection connection(
        evhttp_connection_base_new(loop.get(), nullptr, host, static_cast<uint16_t>(std::stoul(port))));
    evhttp_connection_set_timeout_tv(connection.get(), &timeout);
    evhttp_connection_set_max_body_size(connection.get(), kResponseBytesMax);
    evhttp_request* request = evhttp_request_new(on_done, &call);
    evhttp_request_set_error_cb(request, on_error);
    evkeyvalq* headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Host", place.host_and_port.c_str());
    evhttp_add_header(headers, "Connection", "close");
    if (!json_body.empty()) {
        evhttp_add_header(headers, "Content-Type", "application/json");
        evbuffer_add(evhttp_request_get_output_buffer(request), json_body.data(), json_body.size());
    }
    // From here on the connection owns the request, also when this fails.
    const evhttp_cmd_type method = json_body.empty() ? EVHTTP_REQ_GET : EVHTTP_REQ_POST;
    if (evhttp_make_request(connection.get(), request, method, place.path.c_str()) != 0) {
        return {0, "cannot connect", ""};
    }
    // Each step has the timeout; all of them together have it too.
    event_base_loopexit(loop.get(), &timeout);
    event_base_dispatch(loop.get());
    if (!call.done) return {0, "no answer in time", ""};
    return std::move(call.answer);
}

}  // namespace

HttpAnswer http_call(const std::string& url, std::string_view json_body, uint64_t timeout_ms) {
    Place place;
    if (std::string problem = parse_url(url, &place); !problem.empty()) return {0, str_cat(url, ": ", problem), ""};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &found); error != 0) {
        return {0, str_cat(place.host_and_port, ": ", gai_strerror(error)), ""};
    }
    const std::unique_ptr<addrinfo, FreeWith<freeaddrinfo>> addresses(found);
    const timeval timeout = {static_cast<time_t>(timeout_ms / 1000),
                             static_cast<suseconds_t>(timeout_ms % 1000 * 1000)};
    HttpAnswer answer;
    for (const addrinfo* address = found; address != nullptr && answer.code == 0; address = address->ai_next) {
        answer = ask(*address, place, json_body, timeout);
    }
    return answer;
}

}  // namespace sandstore
