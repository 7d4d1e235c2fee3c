#include "net/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>

#include "net/event_handle.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr LocalAddress kSelf{pb::PORT_HTTP_CLIENT, 0};
constexpr uint64_t kConnectTimeoutMaxMs = 3'000;

struct EasyFree {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiFree {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListFree {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Transfer {
    ReplyTo reply_to;
    std::string url;
    std::string request_body;
    std::string response_body;
    uint64_t response_bytes_max = 0;
    bool too_large = false;
    char error[CURL_ERROR_SIZE] = "";
    std::unique_ptr<curl_slist, ListFree> headers;
    std::unique_ptr<CURL, EasyFree> easy;  // Ends first: it points to the rest.
};

size_t on_body(char* data, size_t size, size_t count, void* argument) {
    Transfer& transfer = *static_cast<Transfer*>(argument);
    const size_t bytes = size * count;
    if (bytes > transfer.response_bytes_max - transfer.response_body.size()) {
        transfer.too_large = true;
        return 0;
    }
    transfer.response_body.append(data, bytes);
    return bytes;
}

bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// A sentence when curl should not even see it.
std::string problem_of(const pb::HttpRequest& request) {
    const std::string& url = request.url();
    if (!url.starts_with("http://") && !url.starts_with("https://"))
        return "the URL must begin with http:// or https://";
    if (!is_plain(url)) return "the URL has characters that URLs cannot have";
    const std::string& method = request.method();
    const bool letters = std::all_of(method.begin(), method.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (method.empty() || !letters) return "the method must be given in capital letters";
    if (!is_plain(request.content_type())) return "the content type has characters that headers cannot have";
    return "";
}

void set_method(CURL* easy, const pb::HttpRequest& request, const Transfer& transfer) {
    if (request.method() == "GET") {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    if (request.method() == "HEAD") {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (request.method() == "POST" || !transfer.request_body.empty()) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.request_body.size()));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.request_body.c_str());
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method().c_str());
}

void set_limits(CURL* easy, uint64_t asked_timeout_ms) {
    const uint64_t wanted_ms = asked_timeout_ms == 0 ? HttpClient::kTimeoutDefaultMs : asked_timeout_ms;
    const uint64_t timeout_ms = std::min(wanted_ms, HttpClient::kTimeoutMaxMs);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(timeout_ms, kConnectTimeoutMaxMs)));
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // A name lookup that hangs is left to its thread: waiting for it would stop the loop.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY,
                     "");  // Members of the cluster are reached directly, whatever the environment.
}

std::unique_ptr<Transfer> make_transfer(const Message& message) {
    const pb::HttpRequest& request = message->http_request();
    auto transfer = std::make_unique<Transfer>();
    transfer->reply_to = reply_to(message);
    transfer->url = request.url();
    transfer->request_body = message.payload.to_string();
    const uint64_t asked = request.response_bytes_max();
    transfer->response_bytes_max =
        asked == 0 ? HttpClient::kResponseBytesDefault : std::min(asked, HttpClient::kResponseBytesMax);
    transfer->easy.reset(curl_easy_init());
    CURL* easy = transfer->easy.get();
    if (easy == nullptr) return nullptr;
    curl_easy_setopt(easy, CURLOPT_URL, transfer->url.c_str());
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer.get());
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
    set_limits(easy, request.timeout_ms());
    set_method(easy, request, *transfer);
    if (!request.content_type().empty()) {
        const std::string header = str_cat("Content-Type: ", request.content_type());
        transfer->headers.reset(curl_slist_append(nullptr, header.c_str()));
    }
    // Without this curl waits a second for "100 Continue" before larger bodies.
    transfer->headers.reset(curl_slist_append(transfer->headers.release(), "Expect:"));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers.get());
    return transfer;
}

}  // namespace

// libcurl must not be entered from its own callbacks: those only note what to watch, and requests are begun and ended
// from the loop.
class HttpClient::Engine {
 public:
    Engine(event_base* base, PortHost& host)
        : base_(base),
          host_(host),
          curl_timer_(base, [this] { act(CURL_SOCKET_TIMEOUT, 0); }),
          start_timer_(base, [this] { start_waiting(); }) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        make_multi();
    }

    ~Engine() {
        for (auto& [easy, transfer] : transfers_) curl_multi_remove_handle(multi_.get(), easy);
        transfers_.clear();
        multi_.reset();  // Calls back for its sockets.
    }

    void take(Message message) {
        if (transfers_.size() + waiting_.size() >= kRequestsMax) {
            host_.reply(reply_to(message), kSelf,
                        request_failed(pb::STATUS_RESOURCE_EXHAUSTED, "too many HTTP requests at once"));
            return;
        }
        waiting_.push_back(std::move(message));
        start_timer_.start_us(0);
    }

    void refuse(const Message& message) {
        const std::string why = str_cat("the HTTP client does not answer ", body_name(message.envelope()));
        if (message->request_id() == 0) return;
        host_.reply(reply_to(message), kSelf, request_failed(pb::STATUS_INVALID_ARGUMENT, why));
    }

 private:
    struct Watch {
        Engine* engine;
        curl_socket_t socket;
        EventPointer event;
    };

    void make_multi() {
        multi_.reset(curl_multi_init());
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &Engine::on_socket_wanted);
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &Engine::on_timer_wanted);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    }

    static int on_timer_wanted(CURLM*, long timeout_ms, void* self) {
        Engine& engine = *static_cast<Engine*>(self);
        if (timeout_ms < 0) {
            engine.curl_timer_.stop();
        } else {
            engine.curl_timer_.start_us(static_cast<uint64_t>(timeout_ms) * 1000);
        }
        return 0;
    }

    static int on_socket_wanted(CURL*, curl_socket_t socket, int what, void* self, void*) {
        Engine& engine = *static_cast<Engine*>(self);
        if (what == CURL_POLL_REMOVE) {
            engine.watches_.erase(socket);
            return 0;
        }
        short events = EV_PERSIST;
        if ((what & CURL_POLL_IN) != 0) events |= EV_READ;
        if ((what & CURL_POLL_OUT) != 0) events |= EV_WRITE;
        Watch& watch = engine.watches_[socket];
        watch.engine = &engine;
        watch.socket = socket;
        watch.event.reset();  // Before the new one: a descriptor has one place in the poller.
        watch.event.reset(event_new(engine.base_, socket, events, &Engine::on_socket_ready, &watch));
        event_add(watch.event.get(), nullptr);
        return 0;
    }

    static void on_socket_ready(int socket, short events, void* argument) {
        int ready = 0;
        if ((events & EV_READ) != 0) ready |= CURL_CSELECT_IN;
        if ((events & EV_WRITE) != 0) ready |= CURL_CSELECT_OUT;
        static_cast<Watch*>(argument)->engine->act(socket, ready);
    }

    void act(curl_socket_t socket, int ready) {
        int running = 0;
        if (curl_multi_socket_action(multi_.get(), socket, ready, &running) != CURLM_OK) return rebuild();
        finish_done();
    }

    void finish_done() {
        int left = 0;
        while (const CURLMsg* done = curl_multi_info_read(multi_.get(), &left)) {
            if (done->msg != CURLMSG_DONE) continue;
            const CURLcode result = done->data.result;
            CURL* easy = done->easy_handle;
            curl_multi_remove_handle(multi_.get(), easy);
            const auto found = transfers_.find(easy);
            const std::unique_ptr<Transfer> transfer = std::move(found->second);
            transfers_.erase(found);
            answer(*transfer, result);
        }
    }

    void answer(Transfer& transfer, CURLcode result) {
        pb::HttpReply reply;
        Payload body;
        if (result == CURLE_OK) {
            long code = 0;
            curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &code);
            reply.set_code(static_cast<int32_t>(code));
            body = Payload(std::move(transfer.response_body));
        } else if (transfer.too_large) {
            reply.set_error(str_cat("the answer is larger than ", transfer.response_bytes_max, " bytes"));
        } else {
            reply.set_error(transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(result));
        }
        host_.reply(transfer.reply_to, kSelf, message_of(std::move(reply), std::move(body)));
    }

    void fail(const ReplyTo& to, std::string why) {
        pb::HttpReply reply;
        reply.set_error(std::move(why));
        host_.reply(to, kSelf, message_of(std::move(reply)));
    }

    void start_waiting() {
        std::deque<Message> waiting;
        waiting.swap(waiting_);
        for (const Message& message : waiting) start(message);
    }

    void start(const Message& message) {
        if (std::string refusal = problem_of(message->http_request()); !refusal.empty()) {
            return fail(reply_to(message), std::move(refusal));
        }
        std::unique_ptr<Transfer> transfer = make_transfer(message);
        if (!transfer) return fail(reply_to(message), "libcurl cannot make another transfer");
        CURL* easy = transfer->easy.get();
        const CURLMcode added = curl_multi_add_handle(multi_.get(), easy);
        if (added != CURLM_OK) return fail(transfer->reply_to, curl_multi_strerror(added));
        transfers_[easy] = std::move(transfer);
    }

    // After an error the multi handle cannot be trusted any more: everything under way fails, and it starts afresh.
    void rebuild() {
        std::map<CURL*, std::unique_ptr<Transfer>> lost;
        lost.swap(transfers_);
        for (auto& [easy, transfer] : lost) {
            curl_multi_remove_handle(multi_.get(), easy);
            fail(transfer->reply_to, "the HTTP engine failed and was restarted");
        }
        lost.clear();
        multi_.reset();
        watches_.clear();
        curl_timer_.stop();
        make_multi();
    }

    event_base* base_;
    PortHost& host_;
    LoopTimer curl_timer_;
    LoopTimer start_timer_;
    std::map<curl_socket_t, Watch> watches_;
    std::unique_ptr<CURLM, MultiFree> multi_;
    std::map<CURL*, std::unique_ptr<Transfer>> transfers_;
    std::deque<Message> waiting_;
};

HttpClient::HttpClient(event_base* base, PortHost& host) : engine_(std::make_unique<Engine>(base, host)) {}

HttpClient::~HttpClient() = default;

void HttpClient::handle(Message message) {
    if (message->body_case() == pb::Envelope::kHttpRequest) return engine_->take(std::move(message));
    engine_->refuse(message);  // Nothing else has a meaning here.
}

}  // namespace sandstore
