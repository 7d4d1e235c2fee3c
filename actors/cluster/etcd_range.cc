#include "actors/cluster/etcd_range.h"

#include <algorithm>

#include "actors/cluster/base64.h"
#include "actors/cluster/strict_json.h"
#include "runtime/one_line.h"
#include "runtime/text.h"

namespace sandstore {

std::string etcd_prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
    if (end.empty()) return std::string(1, '\0');  // etcd's way to say "to the end of all keys".
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
}

std::string etcd_range_body(std::string_view prefix) {
    return str_cat("{\"key\":\"", base64_encode(prefix), "\",\"range_end\":\"", base64_encode(etcd_prefix_end(prefix)),
                   "\"}");
}

std::optional<std::vector<EtcdRecord>> parse_etcd_range(std::string_view body, std::string* error) {
    const std::optional<Json::Value> answer = parse_json(body, error);
    if (!answer) return std::nullopt;
    if (!answer->isObject()) {
        *error = "the answer is not a JSON object";
        return std::nullopt;
    }
    if (answer->isMember("error")) {
        const std::optional<std::string> text = json_string(*answer, "error");
        *error = str_cat("etcd says: ", text ? *text : json_line((*answer)["error"]));
        return std::nullopt;
    }
    // Every answer of etcd has a header; something else that speaks HTTP on that port has not.
    if (!(*answer)["header"].isObject()) {
        *error = "the answer is not etcd's: it has no header";
        return std::nullopt;
    }
    std::vector<EtcdRecord> records;
    const Json::Value& pairs = (*answer)["kvs"];
    if (pairs.isNull()) return records;
    if (!pairs.isArray()) {
        *error = "kvs is not a list";
        return std::nullopt;
    }
    for (const Json::Value& pair : pairs) {
        const std::optional<std::string> key = json_string(pair, "key");
        const std::optional<std::string> value = json_string(pair, "value");
        const std::optional<std::string> key_bytes = key ? base64_decode(*key) : std::nullopt;
        const std::optional<std::string> value_bytes = value ? base64_decode(*value) : std::nullopt;
        if (!key_bytes || key_bytes->empty() || !value_bytes) {
            *error = "a key or value is not base64";
            return std::nullopt;
        }
        records.push_back({*key_bytes, *value_bytes});
    }
    std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return records;
}

std::string etcd_refusal(int http_status, std::string_view body) {
    constexpr size_t kWordsMax = 200;
    std::string error;
    const std::optional<Json::Value> answer = parse_json(body, &error);
    std::string words;
    if (answer && answer->isObject()) {
        words = json_string(*answer, "message").value_or(json_string(*answer, "error").value_or(""));
    } else {
        words = body.substr(0, body.find('\n'));
    }
    std::string text = str_cat("HTTP status ", http_status);
    if (!words.empty()) str_append(&text, ", etcd says: ", one_line(words.substr(0, kWordsMax)));
    const auto has = [&words](std::string_view part) { return words.find(part) != std::string::npos; };
    if (has("HTTPS server")) {
        str_append(&text, " (it speaks TLS only; give an endpoint that speaks plain HTTP)");
    } else if (http_status == 401 || http_status == 403 || has("user name") || has("permission denied") ||
               has("auth")) {
        str_append(&text,
                   " (it wants a user and a password, which are not sent: give an endpoint without authentication)");
    }
    return text;
}

}  // namespace sandstore
