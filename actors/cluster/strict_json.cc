#include "actors/cluster/strict_json.h"

#include <json/reader.h>
#include <json/writer.h>

#include <algorithm>
#include <memory>

#include "runtime/text.h"

namespace sandstore {

std::optional<Json::Value> parse_json(std::string_view text, std::string* error) {
    if (text.size() > kJsonBytesMax) {
        *error = str_cat("longer than ", kJsonBytesMax, " bytes");
        return std::nullopt;
    }
    Json::CharReaderBuilder builder;
    Json::CharReaderBuilder::strictMode(&builder.settings_);
    builder["stackLimit"] = kJsonDepthMax;
    builder["collectComments"] = false;
    const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
    Json::Value value;
    std::string problem;
    try {  // jsoncpp throws when the nesting is too deep.
        if (reader->parse(text.data(), text.data() + text.size(), &value, &problem)) return value;
    } catch (const std::exception& thrown) {
        problem = thrown.what();
    }
    // jsoncpp's text has several lines: "* Line 1, Column 2\n  Syntax error: ...".
    std::string line;
    for (const char c : problem) {
        const bool space = c == '\n' || c == ' ' || c == '*';
        if (!space) line.push_back(c);
        if (space && !line.empty() && line.back() != ' ') line.push_back(' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    *error = str_cat("not JSON: ", line);
    return std::nullopt;
}

std::string json_line(const Json::Value& value) {
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "";
    builder["emitUTF8"] = true;
    return Json::writeString(builder, value);
}

std::optional<std::string> json_string(const Json::Value& object, const char* name) {
    if (!object.isObject()) return std::nullopt;
    const Json::Value& member = object[name];
    if (member.isNull()) return std::string();
    if (!member.isString()) return std::nullopt;
    return member.asString();
}

}  // namespace sandstore
