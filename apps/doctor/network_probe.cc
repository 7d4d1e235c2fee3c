#include "apps/doctor/network_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <thread>

#include "apps/doctor/findings.h"
#include "net/address.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr auto kNamePatience = std::chrono::seconds(5);

struct Addresses {
    std::shared_ptr<const addrinfo> list;
    std::string error;
    uint64_t took_us = 0;
};

struct Question {
    std::shared_future<Addresses> answer;
    std::chrono::steady_clock::time_point until;
};

Addresses look_up(const std::string& host, uint16_t port, int flags) {
    const SystemClock clock;
    const uint64_t began_us = clock.monotonic_us();
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    Addresses addresses;
    const int failed = getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (failed != 0) addresses.error = str_cat("the name ", host, " cannot be resolved: ", gai_strerror(failed));
    if (failed == 0) addresses.list = {found, [](const addrinfo* list) { freeaddrinfo(const_cast<addrinfo*>(list)); }};
    addresses.took_us = clock.monotonic_us() - began_us;
    return addresses;
}

// getaddrinfo() cannot be told how long to wait: one that takes longer is left behind.
Question ask(const HostPort& place) {
    std::promise<Addresses> promise;
    Question question{promise.get_future().share(), std::chrono::steady_clock::now() + kNamePatience};
    std::thread([promise = std::move(promise), place]() mutable {
        promise.set_value(look_up(place.host, place.port, 0));
    }).detach();
    return question;
}

std::map<std::string, Question>& questions() {
    static std::map<std::string, Question> all;
    return all;
}

Addresses resolve(const HostPort& place) {
    const auto asked = questions().find(to_string(place));
    const Question question = asked != questions().end() ? asked->second : ask(place);
    if (question.answer.wait_until(question.until) == std::future_status::ready) return question.answer.get();
    return {nullptr, str_cat("the name ", place.host, " cannot be resolved: no name server has answered"), 0};
}

// 0 or an errno.
int wait_for(int socket, short events, uint64_t until_us) {
    const SystemClock clock;
    while (true) {
        const uint64_t now_us = clock.monotonic_us();
        if (now_us >= until_us) return ETIMEDOUT;
        pollfd entry{socket, events, 0};
        const int count = poll(&entry, 1, static_cast<int>((until_us - now_us) / 1000 + 1));
        if (count > 0) return 0;
        if (count < 0 && errno != EINTR) return errno;
    }
}

// The socket, or a negated errno.
int connect_to(const addrinfo& address, uint64_t until_us) {
    const int made = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return -errno;
    int error = ::connect(made, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = wait_for(made, POLLOUT, until_us);
    socklen_t length = sizeof(error);
    if (error == 0 && getsockopt(made, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    if (error == 0) return made;
    ::close(made);
    return -error;
}

int connect_to_any(const addrinfo* addresses, uint64_t until_us) {
    int last = -EHOSTUNREACH;
    for (const addrinfo* at = addresses; at != nullptr; at = at->ai_next) {
        last = connect_to(*at, until_us);
        if (last >= 0) return last;
    }
    return last;
}

std::string_view header_of(std::string_view head, std::string_view name) {
    for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
        const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        if (line.size() > name.size() + 1 && line[name.size()] == ':' &&
            std::equal(name.begin(), name.end(), line.begin(),
                       [](char a, char b) { return tolower(a) == tolower(b); })) {
            std::string_view value = line.substr(name.size() + 1);
            while (value.starts_with(' ')) value.remove_prefix(1);
            return value;
        }
    }
    return {};
}

}  // namespace

void ask_for_names(const std::vector<std::string>& places) {
    for (const std::string& text : places) {
        std::string error;
        const std::optional<HostPort> place = parse_address(text, &error);
        if (place && !questions().contains(to_string(*place))) questions().emplace(to_string(*place), ask(*place));
    }
}

ConnectProbe probe_connect(const std::string& host_and_port, int attempts, uint64_t timeout_us) {
    ConnectProbe probe;
    const std::optional<HostPort> place = parse_address(host_and_port, &probe.error);
    if (!place) return probe;
    const SystemClock clock;
    const Addresses addresses = resolve(*place);
    probe.error = addresses.error;
    if (addresses.list == nullptr) return probe;
    probe.resolved = true;
    probe.resolve_us = addresses.took_us;
    probe.connect_us = UINT64_MAX;
    for (int i = 0; i < attempts; ++i) {
        const uint64_t from_us = clock.monotonic_us();
        const int connected = connect_to_any(addresses.list.get(), from_us + timeout_us);
        if (connected < 0) {
            probe.error = strerror(-connected);
            return probe;
        }
        ::close(connected);
        probe.connect_us = std::min(probe.connect_us, clock.monotonic_us() - from_us);
    }
    return probe;
}

HttpProbe probe_http(const std::string& host_and_port, const std::string& path, uint64_t timeout_us) {
    constexpr size_t kAnswerBytesMax = size_t{4} << 20;
    HttpProbe probe;
    const std::optional<HostPort> place = parse_address(host_and_port, &probe.error);
    if (!place) return probe;
    const Addresses addresses = resolve(*place);
    probe.error = addresses.error;
    if (addresses.list == nullptr) return probe;
    const SystemClock clock;
    const uint64_t until_us = clock.monotonic_us() + timeout_us;
    const int connected = connect_to_any(addresses.list.get(), until_us);
    if (connected < 0) {
        probe.error = strerror(-connected);
        return probe;
    }
    const uint64_t asked_us = clock.wall_us();
    const std::string request =
        str_cat("GET ", path, " HTTP/1.1\r\nHost: ", host_and_port, "\r\nConnection: close\r\n\r\n");
    int error = ::send(connected, request.data(), request.size(), MSG_NOSIGNAL) < 0 ? errno : 0;
    std::string answer;
    uint64_t answered_us = 0;
    while (error == 0 && answer.size() < kAnswerBytesMax) {
        error = wait_for(connected, POLLIN, until_us);
        if (error != 0) break;
        char buffer[16384];
        const ssize_t count = ::recv(connected, buffer, sizeof(buffer), 0);
        if (count < 0) error = errno;
        if (count <= 0) break;
        if (answered_us == 0) answered_us = clock.wall_us();
        answer.append(buffer, static_cast<size_t>(count));
    }
    ::close(connected);
    const size_t end = answer.find("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.") || end == std::string::npos) {
        probe.error = error != 0 ? strerror(error) : "what answers there does not speak HTTP";
        return probe;
    }
    const std::string_view head = std::string_view(answer).substr(0, end);
    probe.code = atoi(answer.c_str() + std::strlen("HTTP/1.1 "));
    probe.body = answer.substr(end + 4);
    if (const auto date_us = parse_http_date_us(header_of(head, "Date"))) {
        // The second that the other names has begun, and has half a second to go on the average.
        const auto middle_us = static_cast<int64_t>((asked_us + answered_us) / 2);
        probe.clock_offset_us = *date_us + 500'000 - middle_us;
    }
    return probe;
}

int probe_listen(const std::string& listen_address) {
    std::string error;
    const std::optional<HostPort> place = parse_listen_address(listen_address, &error);
    if (!place) return EINVAL;
    const Addresses addresses = look_up(place->host, place->port, AI_PASSIVE);
    if (addresses.list == nullptr) return EADDRNOTAVAIL;
    const int made = ::socket(addresses.list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) return errno;
    const int on = 1;
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int failed = ::bind(made, addresses.list->ai_addr, addresses.list->ai_addrlen) == 0 ? 0 : errno;
    if (failed == 0 && ::listen(made, 1) != 0) failed = errno;
    ::close(made);
    return failed;
}

}  // namespace sandstore
