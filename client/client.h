// The client library as a program uses it: a cluster's namespace and files through calls that wait for their answer,
// and submit() for programs that keep many requests under way. Inside is one event loop with the ClientActor and the
// transport on it; the loop runs only while a call of this class does. For one thread.
//
// Paths count from the root of the namespace. A mutation whose status is DEADLINE_EXCEEDED or UNAVAILABLE may or may
// not have happened; its message says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/result.h"
#include "messages/envelope.pb.h"
#include "runtime/message.h"

namespace sandstore {

class EventRuntime;
class FileLease;

struct ClientOptions {
    std::vector<std::string> servers;  // host:port of any nodes; the leader is found.
    uint64_t timeout_us = 30'000'000;  // Of each operation; of each piece of a long transfer.
    uint64_t chunk_bytes_max = 0;      // 0: the largest there is, 8 MiB.
    uint64_t attempt_timeout_ms = 2'000;
    uint64_t retry_min_ms = 5;
    uint64_t retry_max_ms = 100;  // How late a new leader is noticed.
    // Told once when no server has answered within two seconds: why, and that it goes on. Null: nobody.
    std::function<void(const std::string& sentence)> on_silence;
    bool read_any_node = false;  // Reads of the namespace go to all servers in turn; they are just as fresh.
};

// Fills the buffer from the source: the number of bytes, 0 at the end, or a negated errno. -EAGAIN: nothing within a
// second or so, ask again; what the client keeps open in the cluster is looked after meanwhile.
using ByteSource = std::function<int64_t(char* buffer, size_t size)>;
// Takes the next bytes: how many of them, or a negated errno. -EAGAIN: none within a second or so, offer them again;
// what the client keeps open in the cluster is looked after meanwhile.
using ByteSink = std::function<int64_t(const Payload& bytes)>;
// Bytes done so far.
using TransferProgress = std::function<void(uint64_t done_bytes)>;

class Client {
 public:
    explicit Client(ClientOptions options);
    ~Client();  // Ends the session, if the cluster answers at once; what a failed write stored is given back before.
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // --- The namespace ----------------------------------------------------------------------------------------------
    Result<pb::Attributes> make_directory(std::string_view path, bool parents = false, uint32_t mode = 0755);
    Result<pb::Attributes> create_file(std::string_view path, bool exclusive = false, uint32_t mode = 0644);
    ClientStatus remove_file(std::string_view path);
    ClientStatus remove_directory(std::string_view path);
    ClientStatus rename(std::string_view from, std::string_view to, bool no_replace = false);
    Result<pb::Attributes> set_attributes(pb::SetAttributes attributes);
    Result<pb::Attributes> truncate(std::string_view path, uint64_t size);
    Result<pb::Attributes> stat(std::string_view path);
    Result<std::vector<pb::DirectoryEntry>> list(std::string_view path);  // All of them, by name.
    Result<pb::QueryResult> stat_file_system();

    // --- Content ----------------------------------------------------------------------------------------------------
    // At most what one ClientRead or ClientWrite carries (64 MiB).
    Result<Payload> read(std::string_view path, uint64_t offset, uint64_t length);
    Result<pb::ClientWriteReply> write(std::string_view path, uint64_t offset, Payload bytes);
    Result<pb::ClientWriteReply> append(std::string_view path, Payload bytes);
    // The whole content of a file, of any length, with several pieces under way and bounded memory. The file appears,
    // or is replaced, in one step: readers see the old content or the new. What a failure leaves has no name and goes
    // by itself. `mode`: that the file has afterwards; not given: as it was, or 0644.
    Result<pb::Attributes> write_file(std::string_view path, const ByteSource& source,
                                      const TransferProgress& progress = {}, std::optional<uint32_t> mode = {});
    // All bytes are of one content, though the file is replaced or removed meanwhile; ESTALE when that cannot be, since
    // the cluster did not hear of this client for a minute or had no room to note it.
    Result<pb::Attributes> read_file(std::string_view path, const ByteSink& sink,
                                     const TransferProgress& progress = {});

    // --- The cluster ------------------------------------------------------------------------------------------------
    Result<pb::ClusterStatus> cluster_status(uint64_t timeout_us = 0);  // 0: as configured.

    // --- Many at once -----------------------------------------------------------------------------------------------
    // A request of the ClientActor (see client_actor.h). `done` runs inside run_until() or any call that waits, with
    // the answer, exactly once.
    void submit(Message request, std::function<void(Message)> done, uint64_t timeout_us = 0);
    // Runs the loop until `done` gives true, or for so long. False: the time was over first.
    bool run_until(const std::function<bool()>& done, uint64_t timeout_us);
    const ClientOptions& options() const { return options_; }

 private:
    friend class FileLease;
    struct Inside;
    struct Opened {
        pb::Attributes attributes;
        uint64_t content = 0;
    };

    Message call(Message request, uint64_t timeout_us = 0);
    void tell_silence(uint64_t timeout_us);
    Result<pb::Attributes> mutate(pb::Mutation mutation);
    Result<pb::MutationResult> mutate_fully(pb::Mutation mutation, uint64_t timeout_us = 0);
    Result<pb::QueryResult> query(pb::Query query);
    Result<pb::ClientWriteReply> write_bytes(pb::ClientWrite write, Payload bytes);
    Result<pb::Attributes> write_short_file(std::string_view path, Payload bytes, std::optional<uint32_t> mode);
    Result<pb::Attributes> write_long_file(std::string_view path, Payload first, const ByteSource& source,
                                           const TransferProgress& progress, std::optional<uint32_t> mode);
    ClientStatus check_place(std::string_view path);
    ClientStatus write_pieces(FileLease& upload, Payload first, const ByteSource& source,
                              const TransferProgress& progress);
    Result<pb::Attributes> read_long_file(std::string_view path, const ByteSink& sink,
                                          const TransferProgress& progress);
    Result<Opened> open_content(std::string_view path, FileLease& lease);
    uint64_t piece_bytes() const;

    ClientOptions options_;
    std::unique_ptr<Inside> inside_;
};

// "a:1,b:2" as a list; empty parts are left out.
std::vector<std::string> split_servers(std::string_view text);

}  // namespace sandstore
