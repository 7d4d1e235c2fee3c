// A write load that says what it was told, for the tests with real processes; load.py compares that with what is there.
//
//     cluster_load write DIRECTORY WRITERS   until stdin ends: each writer, in a session of its own, makes files that
//                                            must not exist, appends their numbers to its journal, and renames them
//     cluster_load read DIRECTORY            prints every file that is there: "<writer>/<name> <content>"
//
// None of these operations can be done twice unnoticed. A line on stdout for each, as soon as its outcome is known:
// "<outcome> <operation> <writer> <number>", where the outcome is "ok", "unknown" (it may have happened) or "wrong"
// (it was refused although nothing stands against it). Servers come from SANDSTORE_SERVERS.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/client.h"
#include "runtime/payload.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

ClientOptions options() {
    ClientOptions options;
    const char* servers = std::getenv("SANDSTORE_SERVERS");
    options.servers = split_servers(servers == nullptr ? "" : servers);
    return options;
}

class Writer {
 public:
    Writer(std::string directory, int number) : directory_(str_cat(directory, "/", number)), number_(number) {}

    void run(const std::atomic<bool>& stop) {
        report("mkdir", 0, client_.make_directory(directory_, true).status());
        report("journal", 0, client_.create_file(journal()).status());
        for (int i = 1; !stop; i++) {
            const std::string path = str_cat(directory_, "/", i);
            if (!report("create", i, create(path, str_cat(number_, ":", i)))) continue;
            report("append", i, client_.append(journal(), Payload(str_cat(i, ","))).status());
            report("rename", i, client_.rename(path, path + ".done"));
        }
    }

 private:
    std::string journal() const { return directory_ + "/journal"; }

    ClientStatus create(const std::string& path, std::string content) {
        const Result<pb::Attributes> created = client_.create_file(path, true);
        if (!created.ok()) return created.status();
        return client_.write(path, 0, Payload(std::move(content))).status();
    }

    bool report(const char* operation, int i, const ClientStatus& status) {
        const bool unknown = status.code == pb::STATUS_UNAVAILABLE || status.code == pb::STATUS_DEADLINE_EXCEEDED;
        const char* outcome = status.ok() ? "ok" : unknown ? "unknown" : "wrong";
        static std::mutex one_at_a_time;
        const std::lock_guard<std::mutex> lock(one_at_a_time);
        std::printf("%s %s %d %d %s\n", outcome, operation, number_, i, status.ok() ? "" : status.text().c_str());
        std::fflush(stdout);
        return status.ok();
    }

    std::string directory_;
    int number_;
    Client client_{options()};
};

int write_load(const std::string& directory, int writers) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < writers; i++) {
        threads.emplace_back([&directory, &stop, i] { Writer(directory, i).run(stop); });
    }
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    return 0;
}

int read_all(const std::string& directory) {
    Client client(options());
    const auto fail = [](const std::string& path, const ClientStatus& status) {
        std::fprintf(stderr, "cluster_load: %s: %s\n", path.c_str(), status.text().c_str());
        return 1;
    };
    const auto writers = client.list(directory);
    if (!writers.ok()) return fail(directory, writers.status());
    for (const pb::DirectoryEntry& writer : *writers) {
        const std::string folder = str_cat(directory, "/", writer.name());
        const auto files = client.list(folder);
        if (!files.ok()) return fail(folder, files.status());
        for (const pb::DirectoryEntry& file : *files) {
            const std::string path = str_cat(folder, "/", file.name());
            const Result<Payload> content = client.read(path, 0, file.attributes().size());
            if (!content.ok()) return fail(path, content.status());
            std::printf("%s/%s %s\n", writer.name().c_str(), file.name().c_str(), content->to_string().c_str());
        }
    }
    return 0;
}

}  // namespace

}  // namespace sandstore

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 3 && words[0] == "write") return sandstore::write_load(words[1], std::atoi(words[2].c_str()));
    if (words.size() == 2 && words[0] == "read") return sandstore::read_all(words[1]);
    std::fprintf(stderr, "usage: cluster_load write DIRECTORY WRITERS | cluster_load read DIRECTORY\n");
    return 2;
}
