#include "tests/history/app/recorded_client.h"

#include <algorithm>
#include <charconv>

#include "client/calls.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/history/history.h"
#include "tests/sim/tokens.h"
#include "tests/sim/workload.h"

namespace sandstore {

namespace {

using Kind = FileOperation::Kind;

// As in the history file.
std::string_view outcome_of(pb::StatusCode code) {
    switch (code) {
        case pb::STATUS_OK:
            return "ok";
        case pb::STATUS_ENOENT:
            return "missing";
        case pb::STATUS_EEXIST:
            return "exists";
        case pb::STATUS_UNAVAILABLE:
        case pb::STATUS_DEADLINE_EXCEEDED:
            return "unknown";
        // What a node in distress may refuse.
        case pb::STATUS_ENOSPC:
        case pb::STATUS_EIO:
        case pb::STATUS_EBUSY:
        case pb::STATUS_ESTALE:
        case pb::STATUS_RESOURCE_EXHAUSTED:
            return "fail";
        default:
            return "absurd";
    }
}

// Every other client reads from all nodes in turn: such reads are to be just as fresh.
ClientOptions client_options(const LoadSettings& settings, uint64_t number) {
    ClientOptions options;
    options.servers = settings.servers;
    options.timeout_us = settings.timeout_ms * 1000;
    options.read_any_node = number % 2 == 0;
    options.attempt_timeout_ms = std::min<uint64_t>(1'000, settings.timeout_ms);
    return options;
}

std::string text_of(const std::string& directory, const FileOperation& operation) {
    std::string text = str_cat(directory, " ", word_of(operation.kind));
    if (operation.kind != Kind::kList) str_append(&text, " ", operation.file);
    if (operation.kind == Kind::kRename) str_append(&text, " ", operation.to);
    if (operation.kind == Kind::kWrite || operation.kind == Kind::kAppend) str_append(&text, " ", operation.bytes);
    return text;
}

// False when the answer is none that the history can hold.
bool answer_of(const FileOperation& operation, const Message& reply, std::string* text) {
    std::vector<uint64_t> numbers;
    switch (operation.kind) {
        case Kind::kAppend:
            *text = std::to_string(reply->client_write_reply().offset());
            return true;
        case Kind::kStat:
            *text = std::to_string(reply->query_result().attributes().size());
            return true;
        case Kind::kRead: {
            std::vector<Piece> pieces;
            if (!parse_tokens(reply.payload, &pieces)) return false;
            for (const Piece& piece : pieces) {
                if (piece.first != 0) return false;  // Loads write whole tokens only.
                numbers.push_back(piece.token);
            }
            *text = join_numbers(numbers);
            return true;
        }
        case Kind::kList:
            for (const pb::DirectoryEntry& entry : reply->query_result().entries()) {
                uint64_t number = 0;
                const std::string& name = entry.name();
                const auto [end, problem] = std::from_chars(name.data() + 1, name.data() + name.size(), number);
                if (name[0] != 'f' || problem != std::errc() || end != name.data() + name.size()) return false;
                numbers.push_back(number);
            }
            *text = join_numbers(numbers);
            return true;
        default:
            return true;
    }
}

}  // namespace

RecordedClient::RecordedClient(const LoadSettings& settings, uint64_t number, HistoryWriter& history)
    : number_(number),
      timeout_us_(settings.timeout_ms * 1000),
      history_(history),
      client_(client_options(settings, number)) {}

Message RecordedClient::call(Message request) {
    std::optional<Message> answer;
    client_.submit(
        std::move(request), [&answer](Message reply) { answer = std::move(reply); }, timeout_us_);
    client_.run_until([&answer] { return answer.has_value(); }, UINT64_MAX);
    return std::move(*answer);
}

bool RecordedClient::run(const std::string& directory, FileOperation operation) {
    const uint64_t number = history_.take_number();
    operation.token = static_cast<uint32_t>(number);
    history_.begin(number, number_, text_of(directory, operation));
    const Message reply = call(request_of(operation, {.from = directory, .to = directory}));
    const pb::Status status = status_of_reply(reply);
    std::string_view outcome = outcome_of(status.code());
    std::string text = status.message();
    if (status.code() == pb::STATUS_OK && !answer_of(operation, reply, &text)) {
        outcome = "absurd";
        text = str_cat(reply.payload.size(), " bytes that nobody wrote: ", reply->ShortDebugString().substr(0, 500));
    }
    history_.end(number, outcome, outcome == "missing" || outcome == "exists" ? "" : text);
    return outcome != "unknown";
}

bool RecordedClient::note(const std::string& journal, uint64_t entry) {
    const uint64_t number = history_.take_number();
    history_.begin(number, number_, str_cat(journal, " note ", entry));
    const auto result = client_.append(journal_file(journal), Payload(str_cat(entry, ",")));
    const std::string_view outcome = result.code() == pb::STATUS_ENOENT ? "absurd" : outcome_of(result.code());
    history_.end(number, outcome, result.ok() ? "" : result.text());
    return result.ok();
}

bool RecordedClient::make(const std::string& journal, uint64_t entry) {
    const uint64_t number = history_.take_number();
    history_.begin(number, number_, str_cat(journal, " make ", entry));
    const auto result = client_.create_file(str_cat(made_directory(journal), "/", entry), true);
    const std::string_view outcome = result.code() == pb::STATUS_ENOENT ? "absurd" : outcome_of(result.code());
    history_.end(number, outcome, result.ok() ? "" : result.text());
    return result.ok();
}

bool RecordedClient::prepare_directory(const std::string& path) {
    return client_.make_directory(path, true).ok();
}

bool RecordedClient::prepare_file(const std::string& path) {
    return client_.create_file(path).ok();
}

std::optional<std::vector<std::string>> RecordedClient::names(const std::string& directory) {
    const auto entries = client_.list(directory);
    if (!entries.ok()) return std::nullopt;
    std::vector<std::string> names;
    for (const pb::DirectoryEntry& entry : *entries) names.push_back(entry.name());
    return names;
}

std::optional<std::string> RecordedClient::content(const std::string& path) {
    std::string bytes;
    while (true) {
        const Result<Payload> piece = client_.read(path, bytes.size(), kReadBytesMax);
        if (!piece.ok()) return std::nullopt;
        if (piece->empty()) return bytes;
        bytes += piece->to_string();
    }
}

std::string journal_file(const std::string& journal) {
    return journal + "/journal";
}

std::string made_directory(const std::string& journal) {
    return journal + "/made";
}

}  // namespace sandstore
