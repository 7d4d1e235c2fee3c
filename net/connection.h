// A framed, non-blocking TCP connection on the loop: messages in, messages out, everything bounded.
//
// Sending only queues; what was queued in one loop turn leaves in one system call. Reading is fair: a bounded number of
// bytes and messages a turn. The owner hears of the end exactly once (on_closed), unless it closed the connection
// itself. A connection may be closed and let go of from its own callbacks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "net/address.h"
#include "net/event_handle.h"
#include "net/net_context.h"
#include "net/wire.h"

namespace sandstore {

class Connection;

class ConnectionOwner {
 public:
    virtual ~ConnectionOwner() = default;
    virtual void on_connected(Connection&) {}
    virtual void on_message(Connection& connection, Message message) = 0;
    virtual void on_flushed(Connection&) {}  // The send queue has become empty.
    virtual void on_closed(Connection& connection, const std::string& why) = 0;
};

struct ConnectionOptions {
    // The queue refuses when either is reached; the last frame may go over the bytes.
    size_t queue_bytes_max = size_t{64} << 20;
    size_t queue_messages_max = 8192;
    // While more than this is queued nothing is read: who does not take answers gets no further questions in. 0: off.
    size_t pause_reading_bytes = 0;
    // No progress for this long with bytes to write, or within a frame: closed. A frame in pieces may take eight times
    // that.
    uint64_t stall_timeout_us = 15'000'000;
    // Neither reads nor writes for this long: closed. 0: never.
    uint64_t idle_timeout_us = 0;
    FrameLimits frame_limits;
};

class Connection : public std::enable_shared_from_this<Connection>, private MemoryWaiter {
 public:
    enum class SendResult { kQueued, kQueueFull, kTooLarge, kClosed };

    // Takes over a connected socket, which must be non-blocking.
    static std::shared_ptr<Connection> adopt(NetContext& net, const ConnectionOptions& options, int socket,
                                             std::string remote, ConnectionOwner* owner);
    // Begins to connect. on_connected or on_closed follows, never from inside this call.
    static std::shared_ptr<Connection> connect(NetContext& net, const ConnectionOptions& options,
                                               const SocketAddress& address, ConnectionOwner* owner);
    struct Private {};  // Made by adopt() and connect() only.
    Connection(Private, NetContext& net, const ConnectionOptions& options, WireSide side, std::string remote,
               ConnectionOwner* owner);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Takes the message only when the result is kQueued; else its envelope and payload are as they were.
    [[nodiscard]] SendResult send(Message& message);

    void set_owner(ConnectionOwner* owner) { owner_ = owner; }
    void set_frame_limits(const FrameLimits& limits);
    void set_idle_timeout_us(uint64_t idle_timeout_us);
    // The bytes queued count there from now on, those that are queued already too: answers that somebody does not read.
    void count_unread(MemoryBudget* memory);

    void close();               // At once, without on_closed.
    void close_when_flushed();  // Reads no more; on_closed comes when the queue is written.

    bool closed() const { return closed_; }
    const std::string& remote() const { return remote_; }  // For logs: "10.0.0.7:41234".
    size_t queued_bytes() const { return queued_bytes_; }
    size_t queued_messages() const { return queue_.size(); }
    bool mid_frame() const { return wire_->mid_frame(); }
    uint64_t last_progress_us() const { return std::max(last_read_us_, last_write_us_); }

 private:
    void open(int socket);
    void start_connecting(const SocketAddress& address);
    void finish_connecting();
    void start_reading();

    static void on_read_event(int, short, void* self);
    static void on_write_event(int, short, void* self);
    static void on_flush_event(int, short, void* self);

    void read_some();
    ssize_t read_once(size_t bytes_max, bool* drained);
    bool deliver_messages(size_t* messages);  // False: closed, or somebody else's now.
    void bad_frame();
    void queue(WireBytes bytes);
    void queue_bytes(std::string bytes);
    void write_some();
    ssize_t write_once();
    void written(size_t bytes);
    void wait_writable();
    bool get_memory();  // False: it waits.
    void on_memory(MemoryCharge charge) override;
    void forget_memory();
    void update_read_pause();
    bool must_pause();
    void fail(const std::string& why);
    void check_timeouts();
    void schedule_timeouts();

    NetContext& net_;
    ConnectionOptions options_;
    std::string remote_;
    ConnectionOwner* owner_;
    int socket_ = -1;
    bool connecting_ = false;
    bool closed_ = false;
    bool closing_when_flushed_ = false;
    bool reading_paused_ = false;
    bool waiting_for_memory_ = false;
    MemoryBudget* unread_ = nullptr;  // Where queued bytes count; null: nowhere.
    std::string start_failure_;       // Set before the first event: reported from the loop.

    EventPointer read_event_;
    EventPointer write_event_;  // The socket can take more.
    EventPointer flush_event_;  // Something was queued in this turn.
    LoopTimer timeout_timer_;

    std::unique_ptr<Wire> wire_;
    std::deque<WireBytes> queue_;
    size_t queued_bytes_ = 0;
    size_t front_piece_ =
        0;  // How far the first frame is written: 0 is its head, 1.. its payload's pieces, then its tail,
    size_t front_offset_ = 0;  // and this far into the piece.

    uint64_t last_read_us_ = 0;
    uint64_t last_write_us_ = 0;     // Of progress, or of the queue's becoming non-empty.
    uint64_t frame_began_us_ = 0;    // 0: between frames.
    uint64_t waiting_since_us_ = 0;  // For memory.
};

// Puts a socket into the state that all of Sandstore's connections want: no delay, keepalive.
void set_connection_options(int socket);

}  // namespace sandstore
