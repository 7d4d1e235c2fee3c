// ChunkService: this node's chunks, on disk and in memory.
//
// In    StartChunks             from Bootstrap; requests before it are answered UNAVAILABLE
//       ClusterView, PeerUp, PeerDown   who gets the statistics: members that discovery lists, and nodes that are there
//       ChunkPut -> ChunkPutReply, ChunkGet -> ChunkGetReply        from clients and other nodes' chunk services
//       ChunkList -> ChunkListReply                                 from anyone
//       ChunkDelete -> StatusReply, ChunkFetch -> StatusReply       from this node's Repairer only
//       Drain -> StatusReply    when all that was accepted is stored or refused
//       DiskReply, ChunkPutReply, ChunkGetReply, RequestFailed      answers to its own requests
// Out   DiskRequest to PORT_CHUNK_DISK, ChunkPut and ChunkGet to other nodes' chunk services, ChunkStats to every
// member's
//       FileService and StatusService
// Disk  one file for each chunk (chunk_file.h), written beside, synced, renamed; immutable afterwards
//
// A put is acknowledged only when its file is durable under its name here, or on enough other nodes. Small puts that
// arrive while the disk is busy share one disk request, so that the file system can commit them together. The index
// is built from the directories' listings before any request is served; what only the files' headers know is read in
// the background afterwards, and only ChunkList waits for that.
// A failed sync stops the node. A chunk that fails a checksum, or that the disk twice cannot read, is renamed to
// *.damaged and reported by ChunkList, so that the Repairer asks for a good copy; its intact blocks are served on. Such
// a copy is put together piece by piece, from what is intact here and on the other replicas; when all is intact here
// after all, the file gets its name back. Running out of descriptors or memory fails a request and nothing else. Never
// deletes a chunk unless told so.
// A part of the disk is left free for the log: a chunk that would take of it is refused with ENOSPC at once.
#pragma once

#include <bitset>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "actors/chunk/chunk_checks.h"
#include "actors/chunk/chunk_file.h"
#include "actors/chunk/table_cache.h"
#include "messages/envelope.pb.h"
#include "runtime/actor.h"
#include "runtime/request_metrics.h"

namespace sandstore {

class ChunkService final : public Actor {
 public:
    // --- Bounds -----------------------------------------------------------------------------------------------------
    // What was fetched is not deleted for so long: longer than an audit takes from its question to what it deletes.
    static constexpr uint64_t kFetchedKeptUs = 180'000'000;
    static constexpr uint64_t kPutBytesMax = 256 * 1024 * 1024;  // Of puts and fetches being stored; as much again of
                                                                 // puts waiting for other nodes, mostly the same bytes.
    static constexpr uint64_t kGetBytesMax = 256 * 1024 * 1024;  // Of blocks being read.
    static constexpr size_t kForwardsMax = 4096;                 // Puts with an answer of another node outstanding.
    static constexpr size_t kWaitingRequestsMax = 1024;          // Before the index stands.
    static constexpr size_t kWaitingListsMax = 16;               // Before the headers are read.
    static constexpr size_t kFetchesMax = 16;
    static constexpr size_t kFetchWaitersMax = 16;             // Requests for one and the same fetch.
    static constexpr uint64_t kFetchPieceBytes = 1024 * 1024;  // Whole blocks.
    static constexpr size_t kFetchFailuresBytes = 1024;        // Of what went wrong, for a person.
    static constexpr uint32_t kListDefault = 1000;
    static constexpr uint32_t kListMax = 10'000;
    static constexpr int kDeleteMax = 256;
    static constexpr size_t kTableCacheBytes = 16 * 1024 * 1024;

    // --- Disk requests ----------------------------------------------------------------------------------------------
    static constexpr uint32_t kWriteRequestsMax = 4;         // In flight at once.
    static constexpr size_t kGroupChunksMax = 64;            // Chunks in one write request,
    static constexpr uint64_t kGroupBytesMax = 1024 * 1024;  // and their bytes; a larger chunk goes alone.
    static constexpr uint32_t kDirectoriesPerList = 16;      // List operations in one request,
    static constexpr uint32_t kListRequestsMax = 4;          // and such requests in flight.
    static constexpr size_t kHeadersPerRequest = 64;         // One such request in flight.
    static constexpr size_t kLeftoversPerRequest = 64;       // Likewise.
    static constexpr uint64_t kDiskTimeoutUs = 60'000'000;   // A disk that is silent for longer counts as unavailable.
    static constexpr uint64_t kPeerPutTimeoutUs = 10'000'000;  // Or the client's deadline, when that comes first.
    static constexpr uint64_t kPeerGetTimeoutUs = 10'000'000;
    static constexpr uint64_t kDiskRetryUs = 1'000'000;
    static constexpr uint64_t kSpaceAgainUs = 200'000;     // Between questions for the free space, at least.
    static constexpr uint64_t kProbeAfterUs = 10'000'000;  // Without a write for so long, one is made.
    static constexpr uint64_t kScarceChunks = 16;          // Room for fewer of the largest chunks is watched closely.

    void receive(Message message, Context& context) override;

 private:
    enum class Phase { kNew, kListing, kServing };
    enum TimerTag : uint32_t { kStatsTimer = 1, kHeadersTimer = 2, kListTimer = 3 };

    // What the index knows of a chunk: 24 bytes, for there may be millions.
    struct Entry {
        uint64_t length = 0;
        uint64_t allocated_at_us = 0;  // 0 until the header is read, and for damaged files found at start.
        uint32_t generation = 0;       // A new one each time a file comes to stand under the name.
        bool header_read = false;
        bool damaged = false;
        uint64_t fetched_at_us = 0;  // When it came from another node; 0: not in this life of the process.
    };

    // Who waits for a chunk to be stored.
    struct Waiter {
        enum class Kind { kReply, kForward, kFetch };
        Kind kind = Kind::kReply;
        ReplyTo reply;         // kReply
        uint64_t forward = 0;  // kForward: key in forwards_
        uint64_t since_us = 0;
    };

    // A chunk on its way to the disk.
    struct Store {
        ChunkHead head;
        Payload data;
        std::string temporary;
        bool alone = false;  // Its group failed: written by itself, so that only the guilty one fails.
        std::vector<Waiter> waiters;
    };

    // A put that this node passes on to the other replicas.
    struct Forward {
        ReplyTo reply;
        ChunkKey key;
        uint32_t replicas = 0;
        uint32_t needed = 0;
        uint32_t outstanding = 0;  // Replicas that have not said yes or no, this one included.
        std::vector<std::string> stored_on;
        std::vector<std::pair<std::string, pb::Status>> failures;
        bool answered = false;
        uint64_t bytes = 0;
        uint64_t began_at_us = 0;
    };

    struct Fetch {
        pb::ChunkPlace place;
        std::vector<ReplyTo> waiters;
        std::vector<std::string> sources;  // In the order they are asked for each piece; kHere: the damaged file here.
        size_t source = 0;
        bool damaged_piece = false;    // Some source has damage in the piece at hand.
        uint64_t blockwise_until = 0;  // Up to here a piece is one block.
        uint64_t chunk_length = 0;     // As the first answer says, 0 before it,
        uint32_t table_crc32c = 0;     // and this.
        bool all_from_here = true;
        Payload data;
        std::string failures;
    };
    static constexpr std::string_view kHere = "";  // Among a fetch's sources.

    // What a disk request was for; each kind has its on_disk().
    struct ListWork {
        uint32_t first_directory = 0;
    };
    struct HeadersWork {
        std::vector<ChunkKey> keys;
    };
    struct WriteWork {
        std::vector<ChunkKey> keys;
        std::vector<uint32_t> directories;  // Made by this request.
    };
    struct CompareWork {  // Is what stands on disk the same as what is to be stored?
        ChunkKey key;
        bool again = false;  // The first read failed.
    };
    struct ReadWork {
        ReplyTo reply;
        uint64_t since_us = 0;
        ChunkKey key;
        uint64_t offset = 0;  // Clipped to the chunk; the length is not 0.
        uint64_t length = 0;
        uint64_t chunk_length = 0;
        uint64_t read_bytes = 0;
        uint32_t generation = 0;
        bool damaged = false;  // Its file is one that was set aside.
        bool with_head = false;
        bool again = false;                  // The first read failed.
        bool for_fetch = false;              // A piece for a fetch, not an answer to somebody.
        std::vector<uint32_t> block_crc32c;  // Of the blocks read; empty with `with_head`.
        uint32_t table_crc32c = 0;
    };
    struct QuarantineWork {
        ChunkKey key;
    };
    struct RestoreWork {
        ChunkKey key;
    };
    struct DeleteWork {
        ReplyTo reply;
        std::vector<std::pair<ChunkKey, Entry>> chunks;
        std::vector<size_t> operations_end;  // For each chunk: how many operations until it is gone.
        pb::Status failure;                  // Of a chunk that was left behind; the others go on without it.
    };
    struct SpaceWork {
        bool probe = false;  // And a write.
    };
    struct LeftoversWork {};
    struct CleanWork {};
    using DiskWork = std::variant<ListWork, HeadersWork, WriteWork, CompareWork, ReadWork, QuarantineWork, RestoreWork,
                                  DeleteWork, SpaceWork, LeftoversWork, CleanWork>;

    // The end of a disk request. Without an answer nobody knows what was done and what will still be done.
    struct DiskOutcome {
        bool answered = false;
        pb::DiskReply reply;  // With `answered`.
        Payload payload;
        pb::Status failure;  // Without.
        bool ok() const { return answered && reply.error() == 0; }
        pb::Status status(std::string_view doing) const;
    };

    struct PeerPut {
        uint64_t forward = 0;
        std::string node_id;
    };

    struct Metrics {
        Gauge* store_reserve = nullptr;
        Counter* puts_ok = nullptr;
        Counter* puts_failed = nullptr;
        Counter* put_bytes = nullptr;
        Counter* gets_ok = nullptr;
        Counter* gets_failed = nullptr;
        Counter* get_bytes = nullptr;
        Counter* damaged = nullptr;
        Counter* restored = nullptr;
        Counter* deleted = nullptr;
        Counter* repaired_bytes = nullptr;
        Counter* write_requests = nullptr;
        Counter* late_replicas = nullptr;
        Counter* missed_replicas = nullptr;
        Gauge* corrupt_now = nullptr;
        Gauge* store_bytes = nullptr;
        Gauge* store_objects = nullptr;
        Gauge* store_free = nullptr;
        Gauge* store_total = nullptr;
    };

    // --- chunk_service.cc: messages, the disk, statistics -----------------------------------------------------------
    void on_start_chunks(const pb::StartChunks& start, Context& context);
    void on_cluster_view(const pb::ClusterView& view, Context& context);
    void on_timer_fired(const pb::TimerFired& fired, Context& context);
    void on_drain(const Message& message, Context& context);
    void on_disk_reply(Message message, Context& context);
    void on_request_failed(Message message, Context& context);
    void on_request(Message message, Context& context);  // ChunkPut, Get, List, Delete, Fetch: when the index stands.
    void serve(Message message, Context& context);
    void refuse(const Message& request, pb::StatusCode code, std::string why, Context& context);
    void ask_disk(pb::DiskRequest request, Payload payload, DiskWork work, Context& context);
    void end_disk_request(uint64_t request_id, DiskOutcome outcome, Context& context);
    void quarantine(ChunkKey key, const std::string& why, Context& context);
    void on_disk(QuarantineWork& work, DiskOutcome& outcome, Context& context);
    void on_disk(CleanWork& work, DiskOutcome& outcome, Context& context);
    void on_disk(SpaceWork& work, DiskOutcome& outcome, Context& context);
    void note_space(const pb::DiskReply& reply);
    void note_write(bool ok, Context& context);
    void tell_stats(Context& context);
    void ask_space(Context& context);
    bool has_room(uint64_t file_bytes, Context& context);  // False: the figures are asked for again.
    pb::Status no_room() const;
    void answer_drain_when_idle(Context& context);
    void add_entry(ChunkKey key, const Entry& entry);
    void drop_entry(ChunkKey key);
    bool stop_on_unknown_version(const DecodedHead& decoded, ChunkKey key, Context& context);  // True: return at once.

    // --- chunk_service_index.cc: what is there, list and delete
    void list_directories(Context& context);
    void ask_list(uint32_t first_directory, Context& context);
    void on_disk(ListWork& work, DiskOutcome& outcome, Context& context);
    void note_file(const pb::DiskFile& file);
    void end_listing(Context& context);
    void remove_leftovers(Context& context);
    void on_disk(LeftoversWork& work, DiskOutcome& outcome, Context& context);
    void read_headers(Context& context);
    void on_disk(HeadersWork& work, DiskOutcome& outcome, Context& context);
    void on_header_error(ChunkKey key, const DiskOutcome& outcome, Context& context);
    void skip_header(ChunkKey key, const DiskOutcome& outcome, Context& context);
    void on_chunk_list(const Message& message, Context& context);
    void answer_list(const pb::ChunkList& list, const ReplyTo& reply, Context& context);
    void on_chunk_delete(const Message& message, Context& context);
    void delete_files(DeleteWork work, Context& context);
    void on_disk(DeleteWork& work, DiskOutcome& outcome, Context& context);

    // --- chunk_service_put.cc: storing and forwarding ----------------------------------------------------------------
    void on_chunk_put(Message message, Context& context);
    void forward_put(const pb::ChunkPut& put, const Payload& data, const ReplyTo& reply, ChunkHead head,
                     Context& context);
    void on_chunk_put_reply(const Message& message, Context& context);
    void on_replica_done(uint64_t forward_number, const std::string& node_id, const pb::Status& status,
                         Context& context);
    void settle_forward(uint64_t forward_number, Context& context);
    void store(ChunkHead head, Payload data, Waiter waiter, Context& context);
    void compare(ChunkKey key, const Entry& entry, bool again, Context& context);
    void on_disk(CompareWork& work, DiskOutcome& outcome, Context& context);
    void end_comparison(ChunkKey key, const std::vector<uint32_t>& on_disk, Context& context);
    void queue_write(ChunkKey key, Context& context);
    void start_writes(Context& context);
    std::vector<ChunkKey> next_group();
    void write_group(std::vector<ChunkKey> keys, Context& context);
    void on_disk(WriteWork& work, DiskOutcome& outcome, Context& context);
    void on_group_failed(const WriteWork& work, const DiskOutcome& outcome, Context& context);
    void end_store(ChunkKey key, const pb::Status& status, Context& context);
    void tell_waiter(const Waiter& waiter, ChunkKey key, const pb::Status& status, Context& context);

    // --- chunk_service_get.cc: reading ranges, fetching from other nodes
    void on_chunk_get(const Message& message, Context& context);
    void read_range(ReadWork work, const Entry& entry, Context& context);
    void on_disk(ReadWork& work, DiskOutcome& outcome, Context& context);
    void end_failed_read(ReadWork& work, const DiskOutcome& outcome, Context& context);
    void end_damaged_read(const ReadWork& work, const std::string& why, pb::Status status, Context& context);
    void end_read(const ReadWork& work, pb::ChunkGetReply answer, Payload bytes, Context& context);
    std::string take_head(ReadWork* work, const DecodedHead& decoded);  // Empty, or what is wrong with it.
    static std::optional<Payload> verified_range(const ReadWork& work, const Payload& blocks, std::string* why);
    void on_chunk_fetch(const Message& message, Context& context);
    void fetch_piece(ChunkKey key, Context& context);
    void fetch_here(ChunkKey key, uint64_t offset, uint64_t length, Context& context);
    void on_no_source(ChunkKey key, Context& context);
    void on_chunk_get_reply(const Message& message, Context& context);
    void on_piece(ChunkKey key, const pb::ChunkGetReply& answer, const Payload& bytes, Context& context);
    void drop_source(ChunkKey key, const std::string& why, Context& context);
    void note_failure(Fetch* fetch, const std::string& why) const;
    void end_fetched(ChunkKey key, Context& context);
    void restore(ChunkKey key, Context& context);
    void on_disk(RestoreWork& work, DiskOutcome& outcome, Context& context);
    void end_fetch(ChunkKey key, const pb::Status& status, Context& context);

    Phase phase_ = Phase::kNew;
    std::string node_id_;
    uint64_t chunk_bytes_max_ = 0;
    uint64_t stats_interval_us_ = 0;
    std::vector<std::string> members_;  // Of the last view, this node left out.
    std::set<std::string> peers_up_;
    enum Operation : size_t { kPutOperation, kReplicateOperation, kGetOperation };
    Metrics metrics_;
    std::optional<RequestMetrics> requests_;  // From the start on.

    std::map<ChunkKey, Entry> index_;
    uint64_t chunk_count_ = 0;  // Of the index without the damaged ones.
    uint64_t chunk_bytes_ = 0;
    uint32_t next_generation_ = 1;
    TableCache tables_{kTableCacheBytes};
    std::set<ChunkKey> renaming_;  // Being deleted or quarantined: nothing may be stored under these ids meanwhile.
    std::bitset<kChunkDirectories> directories_;  // Known to exist.

    // Starting.
    uint32_t next_directory_ = 0;
    uint32_t lists_in_flight_ = 0;
    std::vector<uint32_t> lists_to_repeat_;
    uint64_t foreign_files_ = 0;
    std::string foreign_file_;  // One of them.
    std::vector<ChunkKey> misshapen_;
    std::deque<std::string> leftovers_;
    std::deque<Message> waiting_;
    uint64_t waiting_bytes_ = 0;
    bool headers_read_ = false;
    ChunkKey header_cursor_;      // All before and at this id are read.
    ChunkKey unreadable_header_;  // Could not be read once.
    std::deque<std::pair<pb::ChunkList, ReplyTo>> waiting_lists_;

    // Storing.
    std::map<ChunkKey, Store> stores_;
    uint64_t store_bytes_ = 0;
    std::deque<ChunkKey> write_queue_;
    uint32_t writes_in_flight_ = 0;
    uint64_t next_temporary_ = 1;
    pb::ChunkStats space_;      // What the disk said last of its size.
    uint64_t wrote_at_us_ = 0;  // When a write became durable last; 0: another one failed since.
    std::string problem_;       // Why none does; empty: one did lately.
    std::map<uint64_t, Forward> forwards_;
    uint64_t next_forward_ = 1;
    uint64_t forward_bytes_ = 0;
    uint64_t get_bytes_ = 0;
    std::map<ChunkKey, uint64_t> fetched_at_us_;  // In the last kFetchedKeptUs.
    std::map<ChunkKey, Fetch> fetches_;

    // Requests without an answer.
    std::map<RequestId, DiskWork> disk_requests_;
    std::map<RequestId, PeerPut> peer_puts_;
    std::map<RequestId, ChunkKey> peer_gets_;
    bool space_asked_ = false;
    uint64_t space_asked_at_us_ = 0;
    uint64_t room_bytes_ = UINT64_MAX;  // For chunks, as last asked, less what was accepted since. Unknown at first.
    uint64_t disk_reserve_bytes_ = 0;   // As configured; less on a small disk.
    bool draining_ = false;
    std::vector<ReplyTo> drains_;
};

}  // namespace sandstore
