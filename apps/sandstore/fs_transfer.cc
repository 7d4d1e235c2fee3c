// sandstore fs put, get, cat.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <optional>

#include "apps/common/remote_path.h"
#include "apps/sandstore/fs_tools.h"
#include "apps/sandstore/local_target.h"
#include "apps/terminal/progress_bar.h"
#include "runtime/awake_clock.h"
#include "runtime/one_line.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr int kSignalStatus = 128;  // As a shell reports a command that a signal ended: 128 and its number.

// How long a source may be silent, or a sink full, before the client looks after what it keeps open in the cluster.
constexpr int kSilenceMs = 250;
static_assert(kSilenceMs * 1'000 < AwakeClock::kWaitMaxUs, "or the client takes it for having been stopped");
constexpr int kPutsMax = 5;  // Of one file.

// The first Ctrl-C, or the end of the terminal, lets the transfer end cleanly, with what was begun given up; the second
// one ends the process. The signal's number.
volatile sig_atomic_t interrupted = 0;

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int signal) { interrupted = signal; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    struct sigaction present {};
    const bool is_ignored = sigaction(SIGHUP, nullptr, &present) == 0 && present.sa_handler == SIG_IGN;  // nohup
    if (!is_ignored) sigaction(SIGHUP, &action, nullptr);
}

class OpenFile {
 public:
    explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
    ~OpenFile() { close(); }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    int get() const { return descriptor_; }
    bool valid() const { return descriptor_ >= 0; }
    int close() {
        const int result = descriptor_ > STDERR_FILENO ? ::close(descriptor_) : 0;
        descriptor_ = -1;
        return result;
    }

 private:
    int descriptor_;
};

ByteSource source_of(int descriptor) {
    return [descriptor](char* buffer, size_t size) -> int64_t {
        while (true) {
            if (interrupted != 0) return -EINTR;
            pollfd waiting{descriptor, POLLIN, 0};
            const int ready = ::poll(&waiting, 1, kSilenceMs);
            if (ready == 0) return -EAGAIN;
            if (ready < 0 && errno == EINTR) continue;
            const ssize_t count = ::read(descriptor, buffer, size);
            if (count >= 0) return count;
            if (errno != EINTR) return -errno;
        }
    };
}

// A reader may be slow, or stopped: no more is written than a pipe takes at once when it has room at all.
int64_t write_some(int descriptor, const Payload& bytes) {
    pollfd waiting{descriptor, POLLOUT, 0};
    const int ready = ::poll(&waiting, 1, kSilenceMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return -EAGAIN;
    const std::string_view piece = bytes.pieces().front().bytes;
    const ssize_t count = ::write(descriptor, piece.data(), std::min<size_t>(piece.size(), PIPE_BUF));
    return count >= 0 ? count : errno == EINTR ? -EAGAIN : -errno;
}

int64_t write_all(int descriptor, const Payload& bytes) {
    for (const Payload::Piece& piece : bytes.pieces()) {
        std::string_view left = piece.bytes;
        while (!left.empty()) {
            const ssize_t count = ::write(descriptor, left.data(), left.size());
            if (count < 0 && errno == EINTR && interrupted == 0) continue;
            if (count < 0) return -errno;
            left.remove_prefix(static_cast<size_t>(count));
        }
    }
    return static_cast<int64_t>(bytes.size());
}

ByteSink sink_of(int descriptor) {
    struct stat facts {};
    const bool is_file = fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode);
    return [descriptor, is_file](const Payload& bytes) -> int64_t {
        if (interrupted != 0) return -EINTR;
        return is_file ? write_all(descriptor, bytes) : write_some(descriptor, bytes);
    };
}

std::string local_name(std::string_view path) {
    return base_name(path);
}

// A transfer that this machine broke off had nothing under way that could be seen.
void say_failure(const std::string& local, const std::string& remote, const ClientStatus& status, FsErrors& errors) {
    const bool local_error = status.message == kOnThisMachine;
    if (local_error && static_cast<int>(status.code) == EINTR)
        return errors.say(remote, "interrupted, nothing was changed");
    errors.say(local_error ? local : remote, local_error ? text_of(status.code) : status.text());
}

// --- put -----------------------------------------------------------------------------------------------------------

void put_one(Client& client, const std::string& local, const std::string& remote, FsErrors& errors) {
    const bool from_stdin = local == "-";
    OpenFile file(from_stdin ? STDIN_FILENO : ::open(local.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return errors.say(local, strerror(errno));
    struct stat facts {};
    if (fstat(file.get(), &facts) != 0) return errors.say(local, strerror(errno));
    if (S_ISDIR(facts.st_mode)) return errors.say(local, strerror(EISDIR));
    ProgressBar bar(from_stdin ? base_name(remote) : local_name(local),
                    S_ISREG(facts.st_mode) ? static_cast<uint64_t>(facts.st_size) : 0);
    std::optional<uint32_t> mode;
    if (S_ISREG(facts.st_mode) && !from_stdin) mode = facts.st_mode & 07777;
    const auto put = [&] {
        return client.write_file(
            remote, source_of(file.get()), [&bar](uint64_t done) { bar.update(done); }, mode);
    };
    Result<pb::Attributes> written = put();
    // Stopped for longer than the cluster waits (^Z, a machine asleep): a file has a beginning to go back to.
    for (int puts = 1; puts < kPutsMax && mode && written.status().is_of_a_given_up_upload(); puts++) {
        if (interrupted != 0 || ::lseek(file.get(), 0, SEEK_SET) != 0) break;
        std::fprintf(stderr,
                     "sandstore: %s: not heard of for a minute, the cluster gave the upload up; it begins again\n",
                     one_line(remote).c_str());
        written = put();
    }
    if (!written.ok()) say_failure(local, remote, written.status(), errors);
}

// --- get -----------------------------------------------------------------------------------------------------------

bool is_local_directory(const std::string& path) {
    struct stat facts {};
    return ::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

void get_to_file(Client& client, const std::string& remote, const std::string& local, FsErrors& errors) {
    const Result<pb::Attributes> attributes = client.stat(remote);
    if (!attributes.ok()) return errors.say(remote, attributes.status());
    if (is_directory(*attributes)) return errors.say(remote, ClientStatus(pb::STATUS_EISDIR));
    LocalTarget target(local);
    if (const int error = target.open(); error != 0) return errors.say(local, strerror(error));
    ProgressBar bar(base_name(remote), attributes->size());
    const Result<pb::Attributes> read =
        client.read_file(remote, sink_of(target.descriptor()), [&bar](uint64_t done) { bar.update(done); });
    if (!read.ok()) return say_failure(local, remote, read.status(), errors);
    if (const int error = target.commit(read->mode()); error != 0) errors.say(local, strerror(error));
}

void copy_to_stdout(Client& client, const std::string& remote, FsErrors& errors) {
    const Result<pb::Attributes> read = client.read_file(remote, sink_of(STDOUT_FILENO));
    if (!read.ok()) errors.say(remote, read.status());
}

// run_fs() of what a signal ends early.
int run_transfer(int argc, char** argv, const CommandSpec& spec, const FsWork& work) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    catch_interrupts();
    Client client(client_options_from_flags());
    FsErrors errors;
    work(client, parsed.positionals, errors);
    return interrupted != 0 ? kSignalStatus + interrupted : errors.exit_status();
}

}  // namespace

int fs_put(int argc, char** argv) {
    const CommandSpec spec = command_spec(
        {.name = "fs put",
         .summary = "Copies files into the cluster.",
         .usage = "sandstore fs put LOCAL... REMOTE",
         .positionals_min = 2,
         .positionals_max = kAnyNumber,
         .positionals_name = "LOCAL... REMOTE",
         .notes =
             "LOCAL - is standard input. When REMOTE is a directory, the files keep their names. A file that is there\n"
             "is replaced in one step: readers see the old content or the new.\n"});
    return run_transfer(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        const std::string& to = paths.back();
        const Result<pb::Attributes> target = client.stat(to);
        if (!target.ok() && target.code() != pb::STATUS_ENOENT) return errors.say(to, target.status());
        const bool into = target.ok() && is_directory(*target);
        const bool must_be_directory = paths.size() > 2 || to.ends_with('/');
        if (!into && must_be_directory)
            return errors.say(to, ClientStatus(target.ok() ? pb::STATUS_ENOTDIR : pb::STATUS_ENOENT));
        Made made;
        for (size_t i = 0; i + 1 < paths.size() && interrupted == 0; ++i) {
            const std::string& local = paths[i];
            if (into && local == "-") {
                errors.say(to, "Is a directory (standard input has no name to keep)");
                continue;
            }
            const std::string place = into ? join_path(to, local_name(local)) : to;
            if (errors.may_make(made, local, place)) put_one(client, local, place, errors);
        }
    });
}

int fs_get(int argc, char** argv) {
    const CommandSpec spec = command_spec(
        {.name = "fs get",
         .summary = "Copies files out of the cluster.",
         .usage = "sandstore fs get REMOTE... [LOCAL]",
         .positionals_min = 1,
         .positionals_max = kAnyNumber,
         .positionals_name = "REMOTE... [LOCAL]",
         .notes =
             "LOCAL - is standard output. When LOCAL is a directory, or not given (the current one), the files keep\n"
             "their names. A file appears under its name when it is complete. As cp does, what is there keeps its "
             "mode, a\n"
             "symbolic link is followed, and devices, pipes and files with several links are written in place.\n"});
    return run_transfer(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        std::vector<std::string> remotes = paths;
        std::string to = ".";
        if (remotes.size() > 1) {
            to = remotes.back();
            remotes.pop_back();
        }
        const bool into = to != "-" && is_local_directory(to);
        if (!into && to != "-" && (remotes.size() > 1 || to.ends_with('/')))
            return errors.say(to, strerror(access(to.c_str(), F_OK) == 0 ? ENOTDIR : ENOENT));
        Made made;
        for (const std::string& remote : remotes) {
            if (interrupted != 0) break;
            if (to == "-") {
                copy_to_stdout(client, remote, errors);
            } else if (into && base_name(remote).empty()) {
                errors.say(remote, ClientStatus(pb::STATUS_EISDIR));
            } else {
                const std::string local = into ? str_cat(to, "/", base_name(remote)) : to;
                if (errors.may_make(made, remote, local)) get_to_file(client, remote, local, errors);
            }
        }
    });
}

int fs_cat(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs cat",
                                           .summary = "Writes files to standard output, one after the other.",
                                           .usage = "sandstore fs cat PATH...",
                                           .positionals_min = 1,
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH"});
    return run_transfer(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        for (const std::string& path : paths) {
            if (interrupted != 0) break;
            copy_to_stdout(client, path, errors);
        }
    });
}

}  // namespace sandstore
