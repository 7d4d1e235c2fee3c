// What the HTTP server says, apart from how it is sent: answers made from a status of the node or of the cluster. Pure
// functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "messages/cluster.pb.h"

namespace sandstore {

struct HttpAnswerText {
    int code = 200;
    std::string_view type;
    std::string body;
};

using QueryParameters = std::multimap<std::string, std::string>;  // A name without a value has "".

inline constexpr std::string_view kTextType = "text/plain; charset=utf-8";
inline constexpr std::string_view kJsonType = "application/json";

HttpAnswerText error_answer(int code, std::string_view error);

// A page whose answer is made from a status.
struct StatusRoute {
    std::string_view path;
    bool local;  // Of this node alone, or of the cluster.
    HttpAnswerText (*answer)(const pb::ClusterStatus& status, const std::string& self, const QueryParameters& query);
    // What is said when there is no status; null: a JSON error, 503.
    HttpAnswerText (*failure)(const std::string& error, const QueryParameters& query) = nullptr;
};

// Null: there is no such page.
const StatusRoute* find_status_route(std::string_view path);

// What must be asked for an answer: seconds of history and events as the query says, within bounds. False, and why,
// when the query is not understood.
bool question_of(const StatusRoute& route, const QueryParameters& query, pb::ClusterStatusRequest* question,
                 std::string* error);

}  // namespace sandstore
