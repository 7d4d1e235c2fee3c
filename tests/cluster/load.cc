// A write load that says what it was told, for the tests with real processes; load.py compares that with what is there.
//
//     cluster_load write DIRECTORY WRITERS   until stdin ends: each writer, in a session of its own, makes files that
//                                            must not exist, appends their numbers to its journal, and renames them
//     cluster_load stream DIRECTORY WRITERS  until stdin ends: each writer writes files of several chunks, reads and
//                                            lists them, compares, and removes most of them again
//     cluster_load read DIRECTORY            prints every file that is there: "<writer>/<name> <content>"
//
// None of the operations of `write` can be done twice unnoticed. A line on stdout for each, as soon as its outcome is
// known: "<outcome> <operation> <writer> <number>", where the outcome is "ok", "unknown" (it may have happened) or
// "wrong" (it was refused although nothing stands against it). Servers come from SANDSTORE_SERVERS.
#include <unistd.h>

#include <algorithm>
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

bool report(const char* operation, int writer, int number, const ClientStatus& status) {
    const bool unknown = status.code == pb::STATUS_UNAVAILABLE || status.code == pb::STATUS_DEADLINE_EXCEEDED;
    const char* outcome = status.ok() ? "ok" : unknown ? "unknown" : "wrong";
    static std::mutex one_at_a_time;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    std::printf("%s %s %d %d %s\n", outcome, operation, writer, number, status.ok() ? "" : status.text().c_str());
    std::fflush(stdout);
    return status.ok();
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
        return sandstore::report(operation, number_, i, status);
    }

    std::string directory_;
    int number_;
    Client client_{options()};
};

// Long transfers, and reads: what is under way for longer than a node takes to stop.
class Streamer {
 public:
    Streamer(std::string directory, int number) : directory_(str_cat(directory, "/", number)), number_(number) {}

    void run(const std::atomic<bool>& stop) {
        report("mkdir", number_, 0, client_.make_directory(directory_, true).status());
        for (int i = 1; !stop; i++) {
            const std::string path = str_cat(directory_, "/", i);
            const std::string content = content_of(i);
            if (!report("put", number_, i, put(path, content))) continue;
            report("get", number_, i, compare(path, content));
            const Result<std::vector<pb::DirectoryEntry>> list = client_.list(directory_);
            report("list", number_, i, list.status());
            if (i % kKeepEvery != 0) report("remove", number_, i, client_.remove_file(path));
        }
    }

 private:
    static constexpr size_t kFileBytes = 3 << 20;
    static constexpr size_t kPieceBytes = 256 << 10;
    static constexpr int kKeepEvery = 10;

    std::string content_of(int i) const {
        std::string content = str_cat(number_, ":", i, ":");
        while (content.size() < kFileBytes) content += content.substr(0, kFileBytes - content.size());
        return content;
    }

    ClientStatus put(const std::string& path, const std::string& content) {
        size_t given = 0;
        const ByteSource source = [&](char* buffer, size_t size) {
            const size_t count = std::min({size, kPieceBytes, content.size() - given});
            content.copy(buffer, count, given);
            given += count;
            return static_cast<int64_t>(count);
        };
        return client_.write_file(path, source).status();
    }

    ClientStatus compare(const std::string& path, const std::string& content) {
        std::string read;
        const ByteSink sink = [&](const Payload& bytes) {
            read += bytes.to_string();
            return static_cast<int64_t>(bytes.size());
        };
        ClientStatus status = client_.read_file(path, sink).status();
        if (status.ok() && read != content) {
            status.code = pb::STATUS_CORRUPTED;
            status.message = str_cat("read ", read.size(), " bytes that are not what was written");
        }
        return status;
    }

    std::string directory_;
    int number_;
    Client client_{[] {
        ClientOptions many_chunks = options();
        many_chunks.chunk_bytes_max = 512 << 10;
        return many_chunks;
    }()};
};

template <typename SomeWriter>
int write_load(const std::string& directory, int writers) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < writers; i++) {
        threads.emplace_back([&directory, &stop, i] { SomeWriter(directory, i).run(stop); });
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
    const int writers = words.size() == 3 ? std::atoi(words[2].c_str()) : 0;
    if (writers > 0 && words[0] == "write") return sandstore::write_load<sandstore::Writer>(words[1], writers);
    if (writers > 0 && words[0] == "stream") return sandstore::write_load<sandstore::Streamer>(words[1], writers);
    if (words.size() == 2 && words[0] == "read") return sandstore::read_all(words[1]);
    std::fprintf(stderr, "usage: cluster_load write|stream DIRECTORY WRITERS | cluster_load read DIRECTORY\n");
    return 2;
}
