// The port for outgoing HTTP (PORT_HTTP_CLIENT), on libcurl's multi interface driven by the loop.
//
// Messages in:  HttpRequest, a request, with its body in the payload
// Messages out: HttpReply, with the body in the payload; code 0 and an error when there was no whole answer. More
//               requests at once than kRequestsMax are refused with RequestFailed (RESOURCE_EXHAUSTED).
//
// http and https only, no redirects, no proxies, every answer limited in time and size.
#pragma once

#include <memory>

#include "runtime/actor.h"

struct event_base;

namespace sandstore {

class HttpClient : public Port {
 public:
    static constexpr size_t kRequestsMax = 128;
    static constexpr uint64_t kTimeoutDefaultMs = 5'000;
    static constexpr uint64_t kTimeoutMaxMs = 120'000;
    static constexpr uint64_t kResponseBytesDefault = uint64_t{8} << 20;
    static constexpr uint64_t kResponseBytesMax = uint64_t{64} << 20;

    HttpClient(event_base* base, PortHost& host);
    ~HttpClient() override;

    void handle(Message message) override;

 private:
    class Engine;
    std::unique_ptr<Engine> engine_;
};

}  // namespace sandstore
