#include "tests/sim/workload.h"

#include <algorithm>
#include <numeric>

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/random.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/tokens.h"

namespace sandstore {

namespace {

// More make a history too hard to judge: what is open at once can have happened in any order, and what has an unknown
// outcome, at any time.
constexpr size_t kOpenPerDirectory = 6;
constexpr size_t kUnknownPerDirectory = 5;
constexpr size_t kGenerations = 3;

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
            return status->message().starts_with("nothing was changed") ? FileOperation::Outcome::kRefused
                                                                        : FileOperation::Outcome::kUnknown;
    }
}

bool is_mutation(FileOperation::Kind kind) {
    return kind != FileOperation::Kind::kRead && kind != FileOperation::Kind::kStat &&
           kind != FileOperation::Kind::kList;
}

}  // namespace

std::string file_path(const std::string& directory, size_t file) {
    return str_cat(directory, "/f", file);
}

Message request_of(const FileOperation& operation, const DirectoryPaths& paths) {
    using Kind = FileOperation::Kind;
    const std::string path = file_path(paths.from, operation.file);
    pb::Mutation mutation;
    pb::Query query;
    query.set_any_node(paths.any_node);
    switch (operation.kind) {
        case Kind::kCreate:
            mutation.mutable_create_file()->mutable_at()->set_path(path);
            mutation.mutable_create_file()->set_mode(0644);
            mutation.mutable_create_file()->set_exclusive(true);
            return message_of(std::move(mutation));
        case Kind::kWrite:
        case Kind::kAppend:
        case Kind::kWriteAt: {
            pb::ClientWrite write;
            write.set_offset(operation.offset);
            write.mutable_at()->set_path(path);
            write.set_append(operation.kind == Kind::kAppend);
            write.set_truncate(operation.kind == Kind::kWrite);
            return message_of(std::move(write), token_bytes(operation.token, operation.bytes));
        }
        case Kind::kTruncate:
            mutation.mutable_set_attributes()->mutable_at()->set_path(path);
            mutation.mutable_set_attributes()->set_size(operation.offset);
            return message_of(std::move(mutation));
        case Kind::kRemove:
            mutation.mutable_remove_file()->mutable_at()->set_path(path);
            return message_of(std::move(mutation));
        case Kind::kRename:
            mutation.mutable_rename()->mutable_from()->set_path(path);
            mutation.mutable_rename()->mutable_to()->set_path(file_path(paths.to, operation.to));
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
            query.mutable_list_directory()->mutable_at()->set_path(paths.from);
            return message_of(std::move(query));
    }
    return Message();
}

Workload::Workload(SimCluster& cluster, const Schedule& schedule)
    : cluster_(cluster),
      seed_(schedule.seed),
      directories_(static_cast<size_t>(schedule.setting("directories")) * kGenerations),
      files_(static_cast<size_t>(schedule.setting("files"))),
      pipeline_(static_cast<size_t>(schedule.setting("pipeline"))),
      timeout_us_(static_cast<uint64_t>(schedule.setting("operation_timeout_us"))),
      any_node_percent_(schedule.setting("any_node_reads")) {
    for (int64_t i = 1; i <= schedule.setting("clients"); i++) clients_.push_back({str_cat("client-", i), {}, 0});
    places_.resize(directories_);
}

void Workload::add_clients() {
    for (const Client& client : clients_) cluster_.add_client(client.id);
}

void Workload::make_directories() {
    size_t made = 0;
    for (size_t i = 0; i < directories_; i++) {
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
    const bool done = cluster_.runtime().run_until([&] { return made == directories_; }, 30'000'000);
    SANDSTORE_CHECK(done, "the directories cannot be made");
}

// --- One operation

Workload::Waiting Workload::plan(const SimEvent& event) const {
    using Kind = FileOperation::Kind;
    Waiting waiting;
    FileOperation& operation = waiting.operation;
    const auto argument = [&event](size_t place) { return static_cast<uint64_t>(event.argument(place)); };
    operation.kind = static_cast<Kind>(static_cast<int>(event.kind) - static_cast<int>(SimEventKind::kCreate));
    const size_t place = operation.kind == Kind::kList ? argument(1) * files_ : argument(1);
    const size_t drawn = directories_ / kGenerations;
    operation.directory = operation.to_directory = place / files_ % drawn;
    operation.file = place % files_;
    switch (operation.kind) {
        case Kind::kRename:
            operation.to_directory = argument(2) / files_ % drawn;
            operation.to = argument(2) % files_;
            break;
        case Kind::kWriteAt:
            operation.offset = whole_cells(argument(4));
            [[fallthrough]];
        case Kind::kWrite:
        case Kind::kAppend:
            operation.token = static_cast<uint32_t>(argument(2));
            operation.bytes = whole_cells(std::max<uint64_t>(argument(3), 1));
            break;
        case Kind::kTruncate:
            operation.offset = whole_cells(argument(2));
            break;
        default:
            break;
    }
    waiting.timeout_us = timeout_us_;
    return waiting;
}

void Workload::begin(const SimEvent& event) {
    Client& client = clients_.at(static_cast<size_t>(event.argument(0) - 1) % clients_.size());
    client.waiting.push_back(plan(event));
    start_what_may(client);
}

void Workload::drop_waiting() {
    for (Client& client : clients_) client.waiting.clear();
}

void Workload::go_on() {
    for (Client& client : clients_) start_what_may(client);
}

bool Workload::may_start(const FileOperation& operation) const {
    return places_[in_use(operation.directory)].open < kOpenPerDirectory &&
           places_[in_use(operation.to_directory)].open < kOpenPerDirectory;
}

// The first ones that may, also before others that have to wait.
void Workload::start_what_may(Client& client) {
    while (client.open < pipeline_) {
        const auto next = std::find_if(client.waiting.begin(), client.waiting.end(),
                                       [this](const Waiting& waiting) { return may_start(waiting.operation); });
        if (next == client.waiting.end()) return;
        Waiting waiting = std::move(*next);
        client.waiting.erase(next);
        waiting.operation.directory = in_use(waiting.operation.directory);
        waiting.operation.to_directory = in_use(waiting.operation.to_directory);
        start(client, std::move(waiting));
    }
}

// Where too much is unknown, another one takes its place: they are directories_ / kGenerations apart.
size_t Workload::in_use(size_t directory) const {
    const size_t drawn = directories_ / kGenerations;
    while (directory + drawn < directories_ && places_[directory].unknown >= kUnknownPerDirectory) directory += drawn;
    return directory;
}

void Workload::start(Client& client, Waiting next) {
    client.open++;
    open_++;
    begun_++;
    next.operation.begun = ++clock_;
    Message request = request_for(next.operation);
    history_.push_back(std::move(next.operation));
    FileOperation& operation = history_.back();  // A deque does not move it.
    places_[operation.directory].open++;
    if (operation.to_directory != operation.directory) places_[operation.to_directory].open++;
    cluster_.ask(client.id, std::move(request), next.timeout_us, [this, &client, &operation](Message reply) {
        open_--;
        client.open--;
        ended(operation, reply);
        const bool unknown = operation.outcome == FileOperation::Outcome::kUnknown && is_mutation(operation.kind);
        places_[operation.directory].open--;
        places_[operation.directory].unknown += unknown ? 1 : 0;
        if (operation.to_directory != operation.directory) {
            places_[operation.to_directory].open--;
            places_[operation.to_directory].unknown += unknown ? 1 : 0;
        }
        go_on();
    });
}

Message Workload::request_for(const FileOperation& operation) const {
    // Some of the reads go to any node, when the run has such reads.
    const bool any_node = static_cast<int64_t>(mix64(seed_ + operation.begun) % 100) < any_node_percent_;
    return request_of(operation, {str_cat("/d", operation.directory), str_cat("/d", operation.to_directory), any_node});
}

void Workload::ended(FileOperation& operation, const Message& reply) {
    using Kind = FileOperation::Kind;
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
        throw InvariantBroken(str_cat("invariant reads_return_what_was_written: /d", operation.directory, "/f",
                                      operation.file, " has ", reply.payload.size(),
                                      " bytes that are no sequence of writes"));
    }
}

// --- At the end

// A session that expires while an attempt is unanswered leaves the outcome unknown, and a log that waits for space
// looks for it once a second: so not the first attempt counts, but one within a few seconds.
void Workload::prove(size_t client, FileOperation operation, uint64_t limit_us) {
    using Outcome = FileOperation::Outcome;
    constexpr int kAttempts = 4;
    Client& by = clients_[client % clients_.size()];
    for (int attempt = 1; attempt <= kAttempts; attempt++) {
        start(by, {operation, limit_us});
        const FileOperation& done = history_.back();
        cluster_.runtime().run_until([&by] { return by.open == 0; }, 2 * limit_us);
        const bool certain = done.outcome != Outcome::kUnknown && done.outcome != Outcome::kRefused;
        if (by.open == 0 && certain) return;
        if (by.open > 0 || attempt == kAttempts) {
            throw InvariantBroken(
                str_cat("invariant healed_cluster_serves: ", to_text(done), "\n", cluster_.describe()));
        }
        cluster_.runtime().run_for(1'000'000);
        operation.token += operation.token == 0 ? 0 : 0x10000;  // Another write.
    }
}

void Workload::prove_service(uint64_t limit_us) {
    using Kind = FileOperation::Kind;
    // Reads first: they must work before anything new is written.
    for (size_t directory = 0; directory < directories_; directory++) {
        FileOperation operation;
        operation.directory = operation.to_directory = directory;
        operation.kind = Kind::kList;
        prove(directory, operation, limit_us);
        operation.kind = Kind::kRead;
        for (size_t file = 0; file < files_; file++) {
            operation.file = file;
            prove(directory + file, operation, limit_us);
        }
        operation.file = 0;
        operation.kind = Kind::kCreate;
        prove(directory, operation, limit_us);
        operation.kind = Kind::kStat;
        prove(directory + 2, operation, limit_us);
        operation.kind = Kind::kAppend;
        operation.token = next_proof_++;
        operation.bytes = 6 * kCellBytes;
        prove(directory + 1, operation, limit_us);
    }
}

// For each directory the first one of those it is judged together with: files went from one to the other.
std::vector<size_t> Workload::groups() const {
    std::vector<size_t> group(directories_);
    std::iota(group.begin(), group.end(), 0);
    for (const FileOperation& operation : history_) {
        if (operation.kind != FileOperation::Kind::kRename) continue;
        const size_t one = group[operation.directory];
        const size_t other = group[operation.to_directory];
        for (size_t& each : group) {
            if (each == std::max(one, other)) each = std::min(one, other);
        }
    }
    return group;
}

void Workload::check_history() const {
    const std::vector<size_t> group = groups();
    for (size_t first = 0; first < directories_; first++) {
        std::vector<FileOperation> history;
        for (const FileOperation& operation : history_) {
            if (group[operation.directory] != first || operation.outcome == FileOperation::Outcome::kRefused) continue;
            const bool matters = operation.outcome != FileOperation::Outcome::kUnknown || is_mutation(operation.kind);
            if (matters) history.push_back(operation);
        }
        const LinearizabilityResult result = check_linearizable(history, files_, directories_);
        if (result.verdict == OrderVerdict::kUndecided) undecided_++;
        if (result.verdict != OrderVerdict::kNotLinearizable) continue;
        throw InvariantBroken(
            str_cat("invariant linearizability: what was done in /d", first, " has no order\n", result.explanation));
    }
}

}  // namespace sandstore
