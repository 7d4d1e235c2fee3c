// One HTTP request, waited for: for command line tools. Nodes use net/http_client.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sandstore {

struct HttpAnswer {
    int code = 0;       // 0: there was no answer,
    std::string error;  // and why.
    std::string body;
};

// GET without a body, POST of JSON with one. Proxies and redirects are not used.
HttpAnswer http_call(const std::string& url, std::string_view json_body, uint64_t timeout_ms);

}  // namespace sandstore
