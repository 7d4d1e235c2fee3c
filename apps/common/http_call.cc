#include "apps/common/http_call.h"

#include <curl/curl.h>

#include <memory>

namespace sandstore {

namespace {

constexpr size_t kResponseBytesMax = 8 << 20;

size_t collect(char* bytes, size_t size, size_t count, void* answer) {
    std::string& body = static_cast<HttpAnswer*>(answer)->body;
    if (body.size() + size * count > kResponseBytesMax) return 0;  // Ends the transfer with an error.
    body.append(bytes, size * count);
    return size * count;
}

}  // namespace

HttpAnswer http_call(const std::string& url, std::string_view json_body, uint64_t timeout_ms) {
    static const bool initialised = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> call(curl_easy_init(), curl_easy_cleanup);
    HttpAnswer answer;
    if (!initialised || !call) {
        answer.error = "libcurl does not work";
        return answer;
    }
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
        curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all);
    char why[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(call.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(call.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call.get(), CURLOPT_PROXY, "");
    curl_easy_setopt(call.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
    curl_easy_setopt(call.get(), CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(call.get(), CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(call.get(), CURLOPT_WRITEDATA, &answer);
    if (!json_body.empty()) {
        curl_easy_setopt(call.get(), CURLOPT_HTTPHEADER, headers.get());
        curl_easy_setopt(call.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(json_body.size()));
        curl_easy_setopt(call.get(), CURLOPT_COPYPOSTFIELDS, json_body.data());
    }
    const CURLcode result = curl_easy_perform(call.get());
    if (result != CURLE_OK) {
        answer.error = why[0] != '\0' ? why : curl_easy_strerror(result);
        answer.body.clear();
        return answer;
    }
    long code = 0;
    curl_easy_getinfo(call.get(), CURLINFO_RESPONSE_CODE, &code);
    answer.code = static_cast<int>(code);
    return answer;
}

}  // namespace sandstore
