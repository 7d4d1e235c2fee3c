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
// Disk  volumes (volume_store.h), and what is left of one file for each chunk (chunk_file.h), as it was before
//
// A put is acknowledged only when its record is durable here, or on enough other nodes. The index stands before any
// request is served; when a chunk with a file of its own was allocated only the file's header knows, which is read in
// the background afterwards, and only ChunkList waits for that.
// A failed sync stops the node. A chunk that fails a checksum, or that the disk twice cannot read, counts as damaged
// and is reported by ChunkList, so that the Repairer asks for a good copy; its intact blocks are served on. Such a copy
// is put together piece by piece, from what is intact here and on the other replicas; when all is intact here after
// all, it is no longer called damaged. Running out of descriptors or memory fails a request and nothing else. Never
// deletes a chunk unless told so.
// A part of the disk is left free for the log: a chunk that would take of it is refused with ENOSPC at once.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/chunk/chunk_checks.h"
#include "actors/chunk/chunk_disk.h"
#include "actors/chunk/chunk_file.h"
#include "actors/chunk/chunk_index.h"
#include "actors/chunk/table_cache.h"
#include "actors/chunk/volume_store.h"
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
    static constexpr uint32_t kDirectoriesPerList = 16;        // List operations in one request,
    static constexpr uint32_t kListRequestsMax = 4;            // and such requests in flight.
    static constexpr size_t kHeadersPerRequest = 64;           // One such request in flight.
    static constexpr size_t kLeftoversPerRequest = 64;         // Likewise.
    static constexpr uint64_t kPeerPutTimeoutUs = 10'000'000;  // Or the client's deadline, when that comes first.
    static constexpr uint64_t kPeerGetTimeoutUs = 10'000'000;
    static constexpr int kMovesMax = 3;                    // Of a chunk while it is read.
    static constexpr uint64_t kSpaceAgainUs = 200'000;     // Between questions for the free space, at least.
    static constexpr uint64_t kProbeAfterUs = 10'000'000;  // Without a write for so long, one is made.
    static constexpr uint64_t kScarceChunks = 16;          // Room for fewer of the largest chunks is watched closely.

    void receive(Message message, Context& context) override;

 private:
    enum class Phase { kNew, kListing, kServing };
    enum TimerTag : uint32_t { kStatsTimer = 1, kDiskTimer = 2, kVacuumTimer = 3 };

    using Entry = ChunkIndex::Entry;

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

    struct ReadWork {
        ReplyTo reply;
        uint64_t since_us = 0;
        ChunkKey key;
        uint64_t offset = 0;  // Clipped to the chunk; the length is not 0.
        uint64_t length = 0;
        uint64_t chunk_length = 0;
        uint64_t read_bytes = 0;
        Entry entry;  // As it was when the read began.
        bool with_head = false;
        bool again = false;                  // The first read failed.
        int moves = 0;                       // So often the chunk was elsewhere when it had been read.
        bool for_fetch = false;              // A piece for a fetch, not an answer to somebody.
        std::vector<uint32_t> block_crc32c;  // Of the blocks read; empty with `with_head`.
        uint32_t table_crc32c = 0;
    };

    struct PeerPut {
        uint64_t forward = 0;
        std::string node_id;
    };

    struct Metrics {
        Gauge* store_reserve = nullptr;
        Gauge* volumes = nullptr;
        Gauge* garbage = nullptr;
        Gauge* index_memory = nullptr;
        Gauge* moved_bytes = nullptr;
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
        Counter* late_replicas = nullptr;
        Counter* missed_replicas = nullptr;
        Gauge* corrupt_now = nullptr;
        Gauge* store_bytes = nullptr;
        Gauge* store_objects = nullptr;
        Gauge* store_free = nullptr;
        Gauge* store_total = nullptr;
    };

    // --- chunk_service.cc: messages, statistics
    void on_start_chunks(const pb::StartChunks& start, Context& context);
    void make_metrics(Context& context);
    void on_cluster_view(const pb::ClusterView& view, Context& context);
    void on_timer_fired(const pb::TimerFired& fired, Context& context);
    void on_drain(const Message& message, Context& context);
    void on_request_failed(Message message, Context& context);
    void on_request(Message message, Context& context);  // ChunkPut, Get, List, Delete, Fetch: when the index stands.
    void serve(Message message, Context& context);
    void refuse(const Message& request, pb::StatusCode code, std::string why, Context& context);
    void set_damaged(ChunkKey key, const std::string& why, Context& context);
    void answer_drain_when_idle(Context& context);
    void lose(ChunkKey key, Context& context);                                                 // Its file is gone.
    bool stop_on_unknown_version(const DecodedHead& decoded, ChunkKey key, Context& context);  // True: return at once.

    // --- chunk_service_space.cc
    void ask_space(Context& context);
    void on_space(bool probe, DiskOutcome& outcome, Context& context);
    void note_space(const pb::DiskReply& reply);
    void note_write(bool ok, Context& context);
    void tell_stats(Context& context);
    bool has_room(uint64_t file_bytes, Context& context);  // False: the figures are asked for again.
    pb::Status no_room() const;

    // --- chunk_service_index.cc: what is there, list and delete
    void list_directories(Context& context);
    void ask_list(uint32_t first_directory, Context& context);
    void on_listed(DiskOutcome& outcome, Context& context);
    void note_file(const pb::DiskFile& file);
    void end_listing(Context& context);
    void on_opened(Context& context);
    void remove_leftovers(Context& context);
    void read_headers(Context& context);
    void on_headers(const std::vector<ChunkKey>& keys, DiskOutcome& outcome, Context& context);
    void on_header_error(ChunkKey key, const DiskOutcome& outcome, Context& context);
    void skip_header(ChunkKey key, const DiskOutcome& outcome, Context& context);
    void on_chunk_list(const Message& message, Context& context);
    void answer_list(const pb::ChunkList& list, const ReplyTo& reply, Context& context);
    void on_chunk_delete(const Message& message, Context& context);

    // --- chunk_service_put.cc: storing and forwarding
    void on_chunk_put(Message message, Context& context);
    void forward_put(const pb::ChunkPut& put, const Payload& data, const ReplyTo& reply, ChunkHead head,
                     Context& context);
    void on_chunk_put_reply(const Message& message, Context& context);
    void on_replica_done(uint64_t forward_number, const std::string& node_id, const pb::Status& status,
                         Context& context);
    void settle_forward(uint64_t forward_number, Context& context);
    void store(ChunkHead head, Payload data, Waiter waiter, Context& context);
    void compare(ChunkKey key, bool again, Context& context);
    void on_head_read(ChunkKey key, bool again, const Entry& entry, DiskOutcome& outcome, Context& context);
    void end_comparison(ChunkKey key, const std::vector<uint32_t>& on_disk, Context& context);
    void write(ChunkKey key, Context& context);
    void on_stored(ChunkKey key, const pb::Status& status, int error, Context& context);
    void end_store(ChunkKey key, const pb::Status& status, Context& context);
    void tell_waiter(const Waiter& waiter, ChunkKey key, const pb::Status& status, Context& context);

    // --- chunk_service_get.cc: reading ranges, fetching from other nodes
    void on_chunk_get(const Message& message, Context& context);
    void read_range(ReadWork work, const Entry& entry, Context& context);
    void on_range_read(ReadWork& work, DiskOutcome& outcome, Context& context);
    const Entry* same_place(const ReadWork& work) const;          // Null: the chunk is not there any more.
    bool read_where_it_is_now(ReadWork* work, Context& context);  // False: it has not been moved.
    void end_failed_read(ReadWork& work, const DiskOutcome& outcome, Context& context);
    void end_damaged_read(ReadWork& work, const std::string& why, pb::Status status, Context& context);
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

    ChunkIndex index_;
    ChunkDisk disk_{kDiskTimer};
    VolumeStore volumes_{disk_, index_, kVacuumTimer};
    VolumeStore::Options volume_options_;
    TableCache tables_{kTableCacheBytes};

    // Starting.
    uint32_t next_directory_ = 0;
    uint32_t lists_in_flight_ = 0;
    uint64_t foreign_files_ = 0;
    std::string foreign_file_;  // One of them.
    std::vector<ChunkKey> misshapen_;
    std::deque<std::string> leftovers_;
    std::deque<Message> waiting_;
    uint64_t waiting_bytes_ = 0;
    bool headers_read_ = false;
    std::deque<ChunkKey> headers_to_read_;
    ChunkKey unreadable_header_;  // Could not be read once.
    std::deque<std::pair<pb::ChunkList, ReplyTo>> waiting_lists_;

    // Storing.
    std::map<ChunkKey, Store> stores_;
    uint64_t store_bytes_ = 0;
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
