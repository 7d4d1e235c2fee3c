#include "net/resolver.h"

#include <event2/dns.h>
#include <event2/util.h>

#include "net/event_handle.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr size_t kAddressesMax = 16;  // Of one name; the rest is not tried.

class LoopLookup;

// What evdns holds on to: it may outlive the lookup, because a cancelled question is reported later.
struct Question {
    explicit Question(LoopLookup* asker) : lookup(asker) {}
    LoopLookup* lookup;
};

class LoopLookup : public Resolver::Lookup {
 public:
    LoopLookup(event_base* base, Resolver::Done done) : done_(std::move(done)), timer_(base, [this] { finish(); }) {}

    ~LoopLookup() override {
        if (question_ == nullptr) return;
        question_->lookup = nullptr;
        if (request_ != nullptr) evdns_getaddrinfo_cancel(request_);
    }

    void know(Resolver::Result result) {
        result_ = std::move(result);
        timer_.start_us(0);
    }

    void ask(evdns_base* dns, const HostPort& address) {
        name_ = to_string(address);
        evutil_addrinfo hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_protocol = IPPROTO_TCP;
        question_ = std::make_unique<Question>(this).release();  // Owned by evdns from here on: on_answer frees it.
        // Answers at once, through on_answer, for what is in the hosts file.
        evdns_getaddrinfo_request* request = evdns_getaddrinfo(
            dns, address.host.c_str(), std::to_string(address.port).c_str(), &hints, &LoopLookup::on_answer, question_);
        if (question_ != nullptr) request_ = request;
    }

 private:
    static void on_answer(int error, evutil_addrinfo* list, void* argument) {
        const std::unique_ptr<Question> question(static_cast<Question*>(argument));
        const std::unique_ptr<evutil_addrinfo, void (*)(evutil_addrinfo*)> addresses(list, &evutil_freeaddrinfo);
        if (question->lookup != nullptr) question->lookup->answer(error, list);
    }

    void answer(int error, const evutil_addrinfo* list) {
        question_ = nullptr;
        request_ = nullptr;
        Resolver::Result result;
        for (; list != nullptr && result.addresses.size() < kAddressesMax; list = list->ai_next) {
            result.addresses.push_back(socket_address(list->ai_addr, static_cast<socklen_t>(list->ai_addrlen)));
        }
        if (result.addresses.empty()) {
            const char* reason = error != 0 ? evutil_gai_strerror(error) : "the name has no address";
            result.error = str_cat("cannot resolve ", name_, ": ", reason);
        }
        know(std::move(result));
    }

    void finish() {
        const Resolver::Done done = std::move(done_);
        done(std::move(result_));
    }

    Resolver::Done done_;
    Resolver::Result result_;
    std::string name_;
    LoopTimer timer_;
    Question* question_ = nullptr;
    evdns_getaddrinfo_request* request_ = nullptr;
};

}  // namespace

void Resolver::DnsFree::operator()(evdns_base* base) const {
    evdns_base_free(base, 0);
}

Resolver::Resolver(event_base* base, const std::vector<std::string>& name_servers)
    : base_(base), dns_(evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE)) {
    if (!dns_) return;
    // A missing or empty file is no error here: numeric addresses and the hosts file still work.
    if (name_servers.empty()) {
        evdns_base_resolv_conf_parse(dns_.get(), DNS_OPTIONS_ALL, "/etc/resolv.conf");
    } else {
        evdns_base_load_hosts(dns_.get(), "/etc/hosts");
        for (const std::string& server : name_servers) evdns_base_nameserver_ip_add(dns_.get(), server.c_str());
    }
    evdns_base_set_option(dns_.get(), "timeout:", "2");
    evdns_base_set_option(dns_.get(), "attempts:", "2");
    // Some resolvers, among them those of container networks, do not repeat a name's letter case.
    evdns_base_set_option(dns_.get(), "randomize-case:", "0");
    // When one of the two address families has answered, the other is not waited for much longer.
    evdns_base_set_option(dns_.get(), "getaddrinfo-allow-skew:", "0.3");
}

Resolver::~Resolver() = default;

std::unique_ptr<Resolver::Lookup> Resolver::resolve(const HostPort& address, Done done) {
    auto lookup = std::make_unique<LoopLookup>(base_, std::move(done));
    if (const auto numeric = numeric_address(address)) {
        lookup->know({{*numeric}, ""});
    } else if (!dns_) {
        lookup->know({{}, str_cat("cannot resolve ", to_string(address), ": name resolution is not available")});
    } else {
        lookup->ask(dns_.get(), address);
    }
    return lookup;
}

}  // namespace sandstore
