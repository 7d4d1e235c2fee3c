// Clients of a real cluster that record what they ask and what they are told (tests/history/history.h).
//
//     chaos_load run HISTORY [name=value ...]     until stdin ends; then every client ends the operation it is at
//     chaos_load final HISTORY [name=value ...]   reads everything that is there, as operations of the same history
//
// Two kinds of clients. Those of a group do everything at once in one small directory, then go on to the next one:
// short histories, which can be judged whole. The others keep a journal each: numbers that are appended to a file, and
// files that must not be there before; so what was lost or done twice can be counted over the whole run.
//
// Servers come from SANDSTORE_SERVERS; the other settings are the members of LoadSettings.
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <thread>

#include "runtime/random.h"
#include "runtime/text.h"
#include "tests/history/app/recorded_client.h"
#include "tests/sim/tokens.h"

namespace sandstore {

namespace {

using Kind = FileOperation::Kind;

constexpr uint64_t kUnknownPerRound = 5;  // Each doubles what a judge may have to try: then on to another directory.
constexpr uint64_t kBytesMin = 16;
constexpr uint64_t kBytesMax = 3'000;
constexpr uint64_t kFirstFinalOperation = uint64_t{1} << 31;
constexpr size_t kReaders = 8;

// Where a group of clients is.
class Rounds {
 public:
    explicit Rounds(uint64_t operations) : operations_(operations) {}

    uint64_t take() {
        const std::lock_guard lock(mutex_);
        if (taken_ == operations_ || unknown_ == kUnknownPerRound) {
            round_++;
            taken_ = unknown_ = 0;
        }
        taken_++;
        return round_;
    }
    void note_unknown(uint64_t round) {
        const std::lock_guard lock(mutex_);
        if (round == round_ && unknown_ < kUnknownPerRound) unknown_++;
    }

 private:
    const uint64_t operations_;
    std::mutex mutex_;
    uint64_t round_ = 1;
    uint64_t taken_ = 0;
    uint64_t unknown_ = 0;
};

void pause(const LoadSettings& settings) {
    std::this_thread::sleep_for(std::chrono::milliseconds(settings.pause_ms));
}

FileOperation draw(RandomStream& random, uint64_t files) {
    struct Weight {
        Kind kind;
        uint64_t weight;
    };
    static constexpr Weight kWeights[] = {{Kind::kWrite, 22},  {Kind::kAppend, 20}, {Kind::kRead, 24},
                                          {Kind::kCreate, 12}, {Kind::kRemove, 5},  {Kind::kRename, 7},
                                          {Kind::kStat, 5},    {Kind::kList, 5}};
    uint64_t at = random.below(100);
    FileOperation operation;
    for (const Weight& choice : kWeights) {
        operation.kind = choice.kind;
        if (at < choice.weight) break;
        at -= choice.weight;
    }
    operation.file = operation.kind == Kind::kList ? 0 : random.below(files);
    if (operation.kind == Kind::kRename) operation.to = random.below(files);
    if (operation.kind == Kind::kWrite || operation.kind == Kind::kAppend) {
        operation.bytes = whole_cells(kBytesMin + random.below(kBytesMax - kBytesMin));
    }
    return operation;
}

void share_directories(const LoadSettings& settings, uint64_t group, uint64_t number, Rounds& rounds,
                       HistoryWriter& history, const std::atomic<bool>& stop) {
    RecordedClient client(settings, number, history);
    RandomStream random(settings.seed, number);
    uint64_t prepared = 0;
    while (!stop) {
        const uint64_t round = rounds.take();
        const std::string directory = str_cat(settings.directory, "/d", group, "-", round);
        FileOperation operation = draw(random, settings.files);
        if (round != prepared) {
            while (!stop && !client.prepare_directory(directory)) pause(settings);
            if (stop) return;
            prepared = round;
            operation = FileOperation();
            operation.kind = Kind::kCreate;
            operation.file = number % settings.files;
        }
        if (!client.run(directory, operation)) rounds.note_unknown(round);
        pause(settings);
    }
}

void keep_journal(const LoadSettings& settings, uint64_t number, HistoryWriter& history,
                  const std::atomic<bool>& stop) {
    RecordedClient client(settings, number, history);
    const std::string journal = str_cat(settings.directory, "/j", number);
    while (!stop &&
           !(client.prepare_directory(made_directory(journal)) && client.prepare_file(journal_file(journal)))) {
        pause(settings);
    }
    for (uint64_t entry = 1; !stop; entry++) {
        client.note(journal, entry);
        pause(settings);
        client.make(journal, entry);
        pause(settings);
    }
}

int run(const std::string& path, const LoadSettings& settings) {
    HistoryWriter history(path, 1);
    std::atomic<bool> stop = false;
    std::vector<std::unique_ptr<Rounds>> rounds;
    std::vector<std::thread> threads;
    uint64_t number = 0;
    for (uint64_t group = 1; group <= settings.groups; group++) {
        rounds.push_back(std::make_unique<Rounds>(settings.round));
        for (uint64_t i = 0; i < settings.clients; i++) {
            threads.emplace_back([&, group, number = ++number] {
                share_directories(settings, group, number, *rounds[group - 1], history, stop);
            });
        }
    }
    for (uint64_t i = 0; i < settings.journals; i++) {
        threads.emplace_back([&, number = ++number] { keep_journal(settings, number, history, stop); });
    }
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    return 0;
}

// --- At the end

std::string numbers_of_journal(const std::string& content) {
    if (content.empty()) return "-";
    return content.ends_with(',') ? content.substr(0, content.size() - 1) : content;
}

// Throws when the cluster does not give everything.
void read_one(RecordedClient& client, const LoadSettings& settings, const std::string& name, HistoryWriter& history) {
    const std::string path = str_cat(settings.directory, "/", name);
    if (name.starts_with('d')) {
        FileOperation list;
        list.kind = Kind::kList;
        bool known = client.run(path, list);
        for (size_t file = 0; file < settings.files; file++) {
            FileOperation read;
            read.file = file;
            known = client.run(path, read) && known;
        }
        if (!known) throw std::runtime_error(path + " cannot be read");
        return;
    }
    const auto content = client.content(journal_file(path));
    const auto made = client.names(made_directory(path));
    if (!content || !made) throw std::runtime_error(path + " cannot be read");
    history.final(str_cat("note ", path, " ", numbers_of_journal(*content)));
    std::string numbers;
    for (const std::string& number : *made) str_append(&numbers, numbers.empty() ? "" : ",", number);
    history.final(str_cat("make ", path, " ", numbers.empty() ? "-" : numbers));
}

int read_all(const std::string& path, const LoadSettings& settings) {
    HistoryWriter history(path, kFirstFinalOperation);
    const auto names = RecordedClient(settings, 0, history).names(settings.directory);
    if (!names) throw std::runtime_error(settings.directory + " cannot be listed");
    std::atomic<size_t> next = 0;
    std::atomic<bool> failed = false;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kReaders; i++) {
        threads.emplace_back([&, i] {
            RecordedClient client(settings, 1000 + i, history);
            try {
                for (size_t at = next++; at < names->size() && !failed; at = next++) {
                    read_one(client, settings, names->at(at), history);
                }
            } catch (const std::runtime_error& error) {
                std::fprintf(stderr, "chaos_load: %s\n", error.what());
                failed = true;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    return failed ? 1 : 0;
}

bool set(LoadSettings* settings, std::string_view word) {
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (name == "directory") {
        settings->directory = value;
        return value.starts_with('/');
    }
    const std::pair<std::string_view, uint64_t*> numbers[] = {
        {"groups", &settings->groups},         {"clients", &settings->clients}, {"journals", &settings->journals},
        {"files", &settings->files},           {"round", &settings->round},     {"pause_ms", &settings->pause_ms},
        {"timeout_ms", &settings->timeout_ms}, {"seed", &settings->seed}};
    for (const auto& [known, number] : numbers) {
        if (name != known) continue;
        const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), *number);
        return problem == std::errc() && end == value.data() + value.size();
    }
    return false;
}

}  // namespace

int load_main(const std::vector<std::string>& words) {
    LoadSettings settings;
    const char* servers = std::getenv("SANDSTORE_SERVERS");
    settings.servers = split_servers(servers == nullptr ? "" : servers);
    bool understood = words.size() >= 2 && (words[0] == "run" || words[0] == "final");
    for (size_t i = 2; understood && i < words.size(); i++) understood = set(&settings, words[i]);
    if (!understood || settings.servers.empty() || settings.files == 0 || settings.round == 0) {
        std::fprintf(stderr, "usage: SANDSTORE_SERVERS=host:port,... chaos_load run|final HISTORY [name=value ...]\n");
        return 2;
    }
    try {
        return words[0] == "run" ? run(words[1], settings) : read_all(words[1], settings);
    } catch (const std::runtime_error& error) {
        std::fprintf(stderr, "chaos_load: %s\n", error.what());
        return 1;
    }
}

}  // namespace sandstore

int main(int argc, char** argv) {
    return sandstore::load_main({argv + 1, argv + argc});
}
