#include "tests/sim/workload.h"

#include <algorithm>
#include <cstring>

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/random.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

char pattern(uint32_t token, uint64_t place) {
    return static_cast<char>((token * 31 + place * 7 + (place >> 8) * 13) & 0xff);
}

const pb::Status* status_of(const Message& reply) {
    switch (reply->body_case()) {
        case pb::Envelope::kMutationResult:
            return &reply->mutation_result().status();
        case pb::Envelope::kQueryResult:
            return &reply->query_result().status();
        case pb::Envelope::kClientWriteReply:
            return &reply->client_write_reply().status();
        case pb::Envelope::kClientReadReply:
            return &reply->client_read_reply().status();
        default:
            return nullptr;
    }
}

FileOperation::Outcome outcome_of(const Message& reply) {
    const pb::Status* status = status_of(reply);
    if (status == nullptr) return FileOperation::Outcome::kUnknown;
    switch (status->code()) {
        case pb::STATUS_OK:
            return FileOperation::Outcome::kOk;
        case pb::STATUS_ENOENT:
            return FileOperation::Outcome::kMissing;
        case pb::STATUS_EEXIST:
            return FileOperation::Outcome::kExists;
        case pb::STATUS_EISDIR:
        case pb::STATUS_ENOTDIR:
        case pb::STATUS_EINVAL:
        case pb::STATUS_INVALID_ARGUMENT:
        case pb::STATUS_INTERNAL:
        case pb::STATUS_CORRUPTED:
            throw InvariantBroken(str_cat("invariant no_absurd_answers: ", reply->ShortDebugString()));
        default:
            return FileOperation::Outcome::kUnknown;
    }
}

bool is_mutation(FileOperation::Kind kind) {
    return kind != FileOperation::Kind::kRead && kind != FileOperation::Kind::kStat &&
           kind != FileOperation::Kind::kList;
}

}  // namespace

Payload token_bytes(uint32_t token, uint64_t bytes) {
    std::string text(bytes, '\0');
    const auto length = static_cast<uint32_t>(bytes);
    std::memcpy(text.data(), &token, 4);
    std::memcpy(text.data() + 4, &length, 4);
    for (uint64_t i = 8; i < bytes; i++) text[i] = pattern(token, i);
    return Payload(std::move(text));
}

bool parse_tokens(const Payload& bytes, std::vector<uint32_t>* tokens) {
    const std::string text = bytes.to_string();
    for (size_t at = 0; at < text.size();) {
        uint32_t token = 0;
        uint32_t length = 0;
        if (text.size() - at < kTokenBytesMin) return false;
        std::memcpy(&token, text.data() + at, 4);
        std::memcpy(&length, text.data() + at + 4, 4);
        if (length < kTokenBytesMin || length > text.size() - at) return false;
        for (uint64_t i = 8; i < length; i++) {
            if (text[at + i] != pattern(token, i)) return false;
        }
        tokens->push_back(token);
        at += length;
    }
    return true;
}

std::string file_path(const std::string& directory, size_t file) {
    return str_cat(directory, "/f", file);
}

Message request_of(const FileOperation& operation, const std::string& directory, bool any_node) {
    using Kind = FileOperation::Kind;
    const std::string path = file_path(directory, operation.file);
    pb::Mutation mutation;
    pb::Query query;
    query.set_any_node(any_node);
    switch (operation.kind) {
        case Kind::kCreate:
            mutation.mutable_create_file()->mutable_at()->set_path(path);
            mutation.mutable_create_file()->set_mode(0644);
            mutation.mutable_create_file()->set_exclusive(true);
            return message_of(std::move(mutation));
        case Kind::kWrite:
        case Kind::kAppend: {
            pb::ClientWrite write;
            write.mutable_at()->set_path(path);
            write.set_append(operation.kind == Kind::kAppend);
            write.set_truncate(operation.kind == Kind::kWrite);
            return message_of(std::move(write), token_bytes(operation.token, operation.bytes));
        }
        case Kind::kRemove:
            mutation.mutable_remove_file()->mutable_at()->set_path(path);
            return message_of(std::move(mutation));
        case Kind::kRename:
            mutation.mutable_rename()->mutable_from()->set_path(path);
            mutation.mutable_rename()->mutable_to()->set_path(file_path(directory, operation.to));
            return message_of(std::move(mutation));
        case Kind::kRead: {
            pb::ClientRead read;
            read.mutable_at()->set_path(path);
            read.set_length(kReadBytesMax);
            return message_of(std::move(read));
        }
        case Kind::kStat:
            query.mutable_stat()->mutable_at()->set_path(path);
            return message_of(std::move(query));
        case Kind::kList:
            query.mutable_list_directory()->mutable_at()->set_path(directory);
            return message_of(std::move(query));
    }
    return Message();
}

Workload::Workload(SimCluster& cluster, const Schedule& schedule)
    : cluster_(cluster),
      seed_(schedule.seed),
      files_(static_cast<size_t>(schedule.setting("files"))),
      timeout_us_(static_cast<uint64_t>(schedule.setting("operation_timeout_us"))),
      any_node_percent_(schedule.setting("any_node_reads")),
      history_(static_cast<size_t>(schedule.setting("directories"))) {
    for (int64_t i = 1; i <= schedule.setting("clients"); i++) clients_.push_back({str_cat("client-", i), {}, false});
}

void Workload::add_clients() {
    for (const Client& client : clients_) cluster_.add_client(client.id);
}

void Workload::make_directories() {
    size_t made = 0;
    for (size_t i = 0; i < history_.size(); i++) {
        pb::Mutation mutation;
        mutation.mutable_make_directory()->mutable_at()->set_path(str_cat("/d", i));
        mutation.mutable_make_directory()->set_mode(0755);
        const std::string& client = clients_[i % clients_.size()].id;
        cluster_.ask(client, message_of(std::move(mutation)), 20'000'000, [&made](Message reply) {
            SANDSTORE_CHECK(reply->mutation_result().status().code() == pb::STATUS_OK,
                            reply->mutation_result().ShortDebugString());
            made++;
        });
    }
    const bool done = cluster_.runtime().run_until([&] { return made == history_.size(); }, 30'000'000);
    SANDSTORE_CHECK(done, "the directories cannot be made");
}

std::string Workload::path(size_t directory, size_t file) const {
    return file_path(str_cat("/d", directory), file);
}

// --- One operation

Workload::Waiting Workload::plan(const SimEvent& event) const {
    using Kind = FileOperation::Kind;
    Waiting waiting;
    FileOperation& operation = waiting.operation;
    const auto place = static_cast<size_t>(event.argument(1));
    waiting.directory = event.kind == SimEventKind::kList ? place : place / files_;
    operation.file = event.kind == SimEventKind::kList ? 0 : place % files_;
    operation.kind = static_cast<Kind>(static_cast<int>(event.kind) - static_cast<int>(SimEventKind::kCreate));
    if (operation.kind == Kind::kRename) operation.to = static_cast<size_t>(event.argument(2)) % files_;
    if (operation.kind == Kind::kWrite || operation.kind == Kind::kAppend) {
        operation.token = static_cast<uint32_t>(event.argument(2));
        operation.bytes = static_cast<uint64_t>(event.argument(3));
    }
    waiting.directory %= history_.size();
    waiting.timeout_us = timeout_us_;
    return waiting;
}

void Workload::begin(const SimEvent& event) {
    Client& client = clients_.at(static_cast<size_t>(event.argument(0) - 1) % clients_.size());
    client.waiting.push_back(plan(event));
    go_on(client);
}

void Workload::drop_waiting() {
    for (Client& client : clients_) client.waiting.clear();
}

void Workload::go_on(Client& client) {
    if (client.busy || client.waiting.empty()) return;
    Waiting next = std::move(client.waiting.front());
    client.waiting.pop_front();
    client.busy = true;
    open_++;
    begun_++;
    next.operation.begun = ++clock_;
    Message request = request_for(next.directory, next.operation);
    const size_t place = history_[next.directory].size();
    history_[next.directory].push_back(std::move(next.operation));
    cluster_.ask(client.id, std::move(request), next.timeout_us,
                 [this, &client, directory = next.directory, place](Message reply) {
                     open_--;
                     client.busy = false;
                     ended(directory, place, reply);
                     go_on(client);
                 });
}

Message Workload::request_for(size_t directory, const FileOperation& operation) const {
    // Some of the reads go to any node, when the run has such reads.
    const bool any_node = static_cast<int64_t>(mix64(seed_ + operation.begun) % 100) < any_node_percent_;
    return request_of(operation, str_cat("/d", directory), any_node);
}

void Workload::ended(size_t directory, size_t place, const Message& reply) {
    using Kind = FileOperation::Kind;
    FileOperation& operation = history_[directory][place];
    operation.outcome = outcome_of(reply);
    if (operation.outcome == FileOperation::Outcome::kUnknown) return;
    acknowledged_++;
    operation.ended = ++clock_;
    if (operation.outcome != FileOperation::Outcome::kOk) return;
    if (operation.kind == Kind::kAppend) operation.size = reply->client_write_reply().offset();
    if (operation.kind == Kind::kStat) operation.size = reply->query_result().attributes().size();
    if (operation.kind == Kind::kList) {
        for (const pb::DirectoryEntry& entry : reply->query_result().entries()) {
            operation.names.push_back(std::stoul(entry.name().substr(1)));
        }
        std::sort(operation.names.begin(), operation.names.end());
    }
    if (operation.kind == Kind::kRead && !parse_tokens(reply.payload, &operation.contents)) {
        throw InvariantBroken(str_cat("invariant reads_return_what_was_written: ", path(directory, operation.file),
                                      " has ", reply.payload.size(), " bytes that are no sequence of writes"));
    }
}

// --- At the end

// A session that expires while an attempt is unanswered leaves the outcome unknown, and a log that waits for space
// looks for it once a second: so not the first attempt counts, but one within a few seconds.
void Workload::prove(size_t client, size_t directory, FileOperation operation, uint64_t limit_us) {
    constexpr int kAttempts = 4;
    Client& by = clients_[client % clients_.size()];
    for (int attempt = 1; attempt <= kAttempts; attempt++) {
        const size_t place = history_[directory].size();
        by.waiting.push_back({directory, operation, limit_us});
        go_on(by);
        cluster_.runtime().run_until([&by] { return !by.busy; }, 2 * limit_us);
        const FileOperation& done = history_[directory].at(place);
        if (!by.busy && done.outcome != FileOperation::Outcome::kUnknown) return;
        if (by.busy || attempt == kAttempts) {
            throw InvariantBroken(str_cat("invariant healed_cluster_serves: ", path(directory, done.file), " ",
                                          to_text(done), "\n", cluster_.describe()));
        }
        cluster_.runtime().run_for(1'000'000);
        operation.token += operation.token == 0 ? 0 : 0x10000;  // Another write.
    }
}

void Workload::prove_service(uint64_t limit_us) {
    using Kind = FileOperation::Kind;
    uint32_t token = 0x7f000000;
    // Reads first: they must work before anything new is written.
    for (size_t directory = 0; directory < history_.size(); directory++) {
        FileOperation list;
        list.kind = Kind::kList;
        prove(directory, directory, list, limit_us);
        for (size_t file = 0; file < files_; file++) {
            FileOperation read;
            read.kind = Kind::kRead;
            read.file = file;
            prove(directory + file, directory, read, limit_us);
        }
        FileOperation create;
        create.kind = Kind::kCreate;
        prove(directory, directory, create, limit_us);
        FileOperation append;
        append.kind = Kind::kAppend;
        append.token = token++;
        append.bytes = 100;
        prove(directory + 1, directory, append, limit_us);
        FileOperation stat;
        stat.kind = Kind::kStat;
        prove(directory + 2, directory, stat, limit_us);
    }
}

void Workload::check_history() const {
    for (size_t directory = 0; directory < history_.size(); directory++) {
        std::vector<FileOperation> history;
        for (const FileOperation& operation : history_[directory]) {
            const bool matters = operation.outcome != FileOperation::Outcome::kUnknown || is_mutation(operation.kind);
            if (matters) history.push_back(operation);
        }
        const LinearizabilityResult result = check_linearizable(history, files_);
        if (result.verdict == Verdict::kUndecided) undecided_++;
        if (result.verdict != Verdict::kNotLinearizable) continue;
        throw InvariantBroken(str_cat("invariant linearizability: what was done in /d", directory, " has no order\n",
                                      result.explanation));
    }
}

}  // namespace sandstore
