#include "net/connection.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/text.h"

namespace sandstore {
namespace {

// Of one callback: after that other sockets have their turn.
constexpr size_t kReadBytesPerTurn = size_t{1} << 20;
constexpr size_t kReadMessagesPerTurn = 512;
constexpr size_t kWriteBytesPerCall = size_t{1} << 20;
constexpr int kWriteCallsPerTurn = 4;
constexpr size_t kWriteVectors = 512;
static_assert(kWriteVectors <= IOV_MAX);

// A silent, dead host is found after about 25 s when nothing is being sent.
constexpr int kKeepaliveIdleSeconds = 10;
constexpr int kKeepaliveIntervalSeconds = 5;
constexpr int kKeepaliveProbes = 3;
// And when something is being sent: what nobody acknowledges, or has room for, for so long.
constexpr int kUserTimeoutMs = 10'000;

constexpr uint64_t kFrameStallsMax = 8;
// While others wait for the memory that a frame or an answer takes, patience is shorter: without progress, and for a
// whole frame. And nobody waits for ever.
constexpr uint64_t kStallWhileAwaitedUs = 3'000'000;
constexpr uint64_t kFrameWhileAwaitedUs = 30'000'000;
constexpr uint64_t kMemoryWaitMaxUs = 60'000'000;
constexpr uint64_t kTimeoutCheckMinUs = 1'000;

// A frame's head, the pieces of its payload, and its tail if it has one.
size_t pieces_of(const WireBytes& bytes) {
    return 1 + bytes.frame.payload.pieces().size() + (bytes.tail.empty() ? 0 : 1);
}

std::string_view piece_of(const WireBytes& bytes, size_t number) {
    if (number == 0) return bytes.frame.head;
    const auto pieces = bytes.frame.payload.pieces();
    return number <= pieces.size() ? pieces[number - 1].bytes : std::string_view(bytes.tail);
}

void set_option(int socket, int level, int option, int value) {
    setsockopt(socket, level, option, &value, sizeof(value));
}

}  // namespace

void set_connection_options(int socket) {
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

// --- Life

Connection::Connection(Private, NetContext& net, const ConnectionOptions& options, WireSide side, std::string remote,
                       ConnectionOwner* owner)
    : net_(net),
      options_(options),
      remote_(std::move(remote)),
      owner_(owner),
      flush_event_(event_new(net.base, -1, 0, &Connection::on_flush_event, this)),
      timeout_timer_(net.base, [this] { check_timeouts(); }),
      wire_(net.new_wire(side, options.frame_limits, remote_)) {}

Connection::~Connection() {
    close();
}

std::shared_ptr<Connection> Connection::adopt(NetContext& net, const ConnectionOptions& options, int socket,
                                              std::string remote, ConnectionOwner* owner) {
    auto connection =
        std::make_shared<Connection>(Private{}, net, options, WireSide::kAccepted, std::move(remote), owner);
    connection->open(socket);
    connection->start_reading();
    return connection;
}

std::shared_ptr<Connection> Connection::connect(NetContext& net, const ConnectionOptions& options,
                                                const SocketAddress& address, ConnectionOwner* owner) {
    auto connection =
        std::make_shared<Connection>(Private{}, net, options, WireSide::kDialled, to_string(address), owner);
    connection->start_connecting(address);
    connection->queue_bytes(connection->wire_->take_output());
    return connection;
}

void Connection::open(int socket) {
    socket_ = socket;
    set_connection_options(socket);
    read_event_.reset(event_new(net_.base, socket, EV_READ | EV_PERSIST, &Connection::on_read_event, this));
    write_event_.reset(event_new(net_.base, socket, EV_WRITE, &Connection::on_write_event, this));
}

void Connection::start_connecting(const SocketAddress& address) {
    const int socket = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) {
        start_failure_ = str_cat("cannot make a socket: ", std::strerror(errno));
        event_active(flush_event_.get(), EV_TIMEOUT, 0);
        return;
    }
    open(socket);
    connecting_ = true;
    if (::connect(socket, address.get(), address.length) == 0 || errno == EINPROGRESS) {
        event_add(write_event_.get(), nullptr);
        return;
    }
    start_failure_ = str_cat("cannot connect to ", remote_, ": ", std::strerror(errno));
    event_active(flush_event_.get(), EV_TIMEOUT, 0);
}

void Connection::finish_connecting() {
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return fail(str_cat("cannot connect to ", remote_, ": ", std::strerror(error)));
    connecting_ = false;
    start_reading();
    if (owner_ != nullptr) owner_->on_connected(*this);
    if (!closed_ && !queue_.empty()) write_some();
}

void Connection::start_reading() {
    last_read_us_ = last_write_us_ = net_.host.now_us();
    event_add(read_event_.get(), nullptr);
    schedule_timeouts();
}

void Connection::set_idle_timeout_us(uint64_t idle_timeout_us) {
    options_.idle_timeout_us = idle_timeout_us;
    timeout_timer_.stop();
    if (!closed_ && !connecting_) schedule_timeouts();
}

void Connection::set_frame_limits(const FrameLimits& limits) {
    options_.frame_limits = limits;
    wire_->set_limits(limits);
}

void Connection::count_unread(MemoryBudget* memory) {
    unread_ = memory;
    if (unread_ != nullptr) unread_->add_unread(queued_bytes_);
}

void Connection::close() {
    if (closed_) return;
    closed_ = true;
    forget_memory();
    if (unread_ != nullptr) unread_->remove_unread(queued_bytes_);
    owner_ = nullptr;
    timeout_timer_.stop();
    event_del(flush_event_.get());
    // The events go before the descriptor: the number may be in use again at once.
    read_event_.reset();
    write_event_.reset();
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    const auto lost =
        std::count_if(queue_.begin(), queue_.end(), [](const WireBytes& bytes) { return bytes.is_message; });
    if (lost > 0) net_.count_undeliverable("connection_lost", static_cast<uint64_t>(lost));
    queue_.clear();
    queued_bytes_ = 0;
}

void Connection::close_when_flushed() {
    if (closed_ || closing_when_flushed_) return;
    forget_memory();
    queue_bytes(wire_->farewell());
    closing_when_flushed_ = true;
    if (read_event_) event_del(read_event_.get());
    if (queue_.empty()) event_active(flush_event_.get(), EV_TIMEOUT, 0);
}

void Connection::fail(const std::string& why) {
    if (closed_) return;
    ConnectionOwner* owner = owner_;
    close();
    if (owner != nullptr) owner->on_closed(*this, why);
}

// Callbacks hold a reference, so that an owner may let go of the connection from inside one.
void Connection::on_read_event(int, short, void* self) {
    const auto alive = static_cast<Connection*>(self)->shared_from_this();
    alive->read_some();
}

void Connection::on_write_event(int, short, void* self) {
    const auto alive = static_cast<Connection*>(self)->shared_from_this();
    if (alive->connecting_) return alive->finish_connecting();
    alive->write_some();
}

void Connection::on_flush_event(int, short, void* self) {
    const auto alive = static_cast<Connection*>(self)->shared_from_this();
    if (!alive->start_failure_.empty()) return alive->fail(alive->start_failure_);
    if (alive->closed_ || alive->connecting_) return;
    alive->write_some();
}

// --- Reading

void Connection::read_some() {
    size_t bytes = 0;
    size_t messages = 0;
    bool drained = false;
    while (!drained && !waiting_for_memory_ && bytes < kReadBytesPerTurn && messages < kReadMessagesPerTurn) {
        const ssize_t n = read_once(kReadBytesPerTurn - bytes, &drained);
        if (n == 0) return fail("closed by the other side");
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return fail(std::strerror(errno));
        bytes += static_cast<size_t>(n);
        net_.received_bytes.add(static_cast<uint64_t>(n));
        last_read_us_ = net_.host.now_us();
        if (!deliver_messages(&messages)) return;
    }
    if (frame_began_us_ == 0 && wire_->mid_frame()) {
        frame_began_us_ = last_read_us_;
        schedule_timeouts();
    }
    update_read_pause();
}

ssize_t Connection::read_once(size_t bytes_max, bool* drained) {
    const std::span<const iovec> areas = wire_->space(bytes_max);
    size_t room = 0;
    for (const iovec& area : areas) room += area.iov_len;
    const ssize_t n = ::readv(socket_, areas.data(), static_cast<int>(areas.size()));
    if (n > 0) {
        wire_->received(static_cast<size_t>(n));
        *drained = static_cast<size_t>(n) < room;
    }
    return n;
}

bool Connection::deliver_messages(size_t* messages) {
    while (true) {
        Message message;
        const FrameDecoder::Next step = wire_->next(net_.host.now_us(), &message);
        queue_bytes(wire_->take_output());
        switch (step) {
            case FrameDecoder::Next::kMore:
                if (wire_->memory_wanted() > 0 && get_memory()) continue;
                if (wire_->finished()) close_when_flushed();
                return !closing_when_flushed_;
            case FrameDecoder::Next::kBad:
                bad_frame();
                return false;
            case FrameDecoder::Next::kMessage:
                break;
        }
        ++*messages;
        frame_began_us_ = 0;
        net_.received_messages.add();
        if (owner_ != nullptr) owner_->on_message(*this, std::move(message));
        if (closed_ || closing_when_flushed_) return false;
    }
}

void Connection::bad_frame() {
    const std::string reason(wire_->error());
    net_.count_bad_frame(reason);
    net_.log(LogLevel::kWarning, "bad frame, connection closed", {{"from", remote_}, {"reason", reason}});
    // What tells the other side so is sent if it can be at once; nobody waits for it.
    if (!queue_.empty() && !queue_.front().is_message) write_once();
    fail(str_cat("bad frame: ", reason));
}

// --- Memory

bool Connection::get_memory() {
    if (waiting_for_memory_) return false;
    std::optional<MemoryCharge> charge = options_.frame_limits.memory->ask(wire_->memory_wanted(), *this);
    if (charge) {
        wire_->give_memory(std::move(*charge));
        return true;
    }
    waiting_for_memory_ = true;
    waiting_since_us_ = net_.host.now_us();
    return false;
}

void Connection::on_memory(MemoryCharge charge) {
    const auto alive = shared_from_this();
    waiting_for_memory_ = false;
    last_read_us_ = net_.host.now_us();
    if (frame_began_us_ != 0) frame_began_us_ = last_read_us_;  // Its time begins anew.
    if (wire_->memory_wanted() > 0) {
        wire_->give_memory(std::move(charge));
        size_t messages = 0;
        if (!deliver_messages(&messages)) return;
    }
    update_read_pause();
}

void Connection::forget_memory() {
    if (std::exchange(waiting_for_memory_, false)) options_.frame_limits.memory->forget(*this);
}

void Connection::update_read_pause() {
    if (closed_ || closing_when_flushed_) return;
    const bool pause = must_pause();
    if (pause == reading_paused_) return;
    reading_paused_ = pause;
    if (pause) {
        event_del(read_event_.get());
        schedule_timeouts();
    } else {
        last_read_us_ = net_.host.now_us();
        event_add(read_event_.get(), nullptr);
    }
}

bool Connection::must_pause() {
    const size_t most = options_.pause_reading_bytes;
    if (most != 0 && queued_bytes_ > (reading_paused_ ? most / 2 : most)) return true;
    if (waiting_for_memory_) return true;
    const FrameLimits& limits = options_.frame_limits;
    // Whatever is asked next would cost more; a frame that has its memory goes on.
    if (limits.memory == nullptr || !limits.memory_waits || frame_began_us_ != 0 || !limits.memory->exhausted()) {
        return false;
    }
    waiting_for_memory_ = !limits.memory->ask(0, *this);
    waiting_since_us_ = net_.host.now_us();
    return waiting_for_memory_;
}

// --- Writing

Connection::SendResult Connection::send(Message& message) {
    if (closed_ || closing_when_flushed_) return SendResult::kClosed;
    if (queue_.size() >= options_.queue_messages_max || queued_bytes_ >= options_.queue_bytes_max) {
        return SendResult::kQueueFull;
    }
    WireBytes bytes;
    if (!encode_frame(message, net_.host.now_us(), &bytes.frame)) return SendResult::kTooLarge;
    wire_->wrap(message, &bytes);
    queue(std::move(bytes));
    if (wire_->finished()) close_when_flushed();
    return SendResult::kQueued;
}

void Connection::queue_bytes(std::string bytes) {
    if (bytes.empty() || closed_) return;
    WireBytes piece;
    piece.frame.head = std::move(bytes);
    piece.is_message = false;
    queue(std::move(piece));
}

void Connection::queue(WireBytes bytes) {
    if (queue_.empty()) {
        last_write_us_ = net_.host.now_us();
        if (!connecting_) {
            event_active(flush_event_.get(), EV_TIMEOUT, 0);
            schedule_timeouts();
        }
    }
    queued_bytes_ += bytes.size();
    if (unread_ != nullptr) unread_->add_unread(bytes.size());
    queue_.push_back(std::move(bytes));
}

void Connection::write_some() {
    for (int call = 0; call < kWriteCallsPerTurn && !queue_.empty(); call++) {
        const ssize_t n = write_once();
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return fail(std::strerror(errno));
        written(static_cast<size_t>(n));
    }
    update_read_pause();
    if (!queue_.empty()) return wait_writable();
    if (closing_when_flushed_) return fail("closed after the last message");
    if (owner_ != nullptr) owner_->on_flushed(*this);
}

ssize_t Connection::write_once() {
    iovec vectors[kWriteVectors];
    size_t count = 0;
    size_t bytes = 0;
    size_t piece = front_piece_;
    size_t offset = front_offset_;
    for (auto item = queue_.begin(); item != queue_.end() && count < kWriteVectors && bytes < kWriteBytesPerCall;
         ++item, piece = 0) {
        const size_t pieces = pieces_of(*item);
        for (; piece < pieces && count < kWriteVectors && bytes < kWriteBytesPerCall; piece++, offset = 0) {
            std::string_view part = piece_of(*item, piece);
            part = part.substr(offset, kWriteBytesPerCall - bytes);
            vectors[count++] = {const_cast<char*>(part.data()), part.size()};
            bytes += part.size();
        }
    }
    msghdr header{};
    header.msg_iov = vectors;
    header.msg_iovlen = count;
    return ::sendmsg(socket_, &header, MSG_NOSIGNAL);  // writev that cannot raise SIGPIPE.
}

void Connection::written(size_t bytes) {
    if (bytes == 0) return;
    last_write_us_ = net_.host.now_us();
    net_.sent_bytes.add(bytes);
    queued_bytes_ -= bytes;
    if (unread_ != nullptr) unread_->remove_unread(bytes);
    while (bytes > 0) {
        const WireBytes& front = queue_.front();
        const size_t length = piece_of(front, front_piece_).size();
        const size_t part = std::min(bytes, length - front_offset_);
        bytes -= part;
        front_offset_ += part;
        if (front_offset_ < length) return;
        front_offset_ = 0;
        if (++front_piece_ < pieces_of(front)) continue;
        front_piece_ = 0;
        if (front.is_message) net_.sent_messages.add();
        queue_.pop_front();
    }
}

void Connection::wait_writable() {
    event_add(write_event_.get(), nullptr);
    schedule_timeouts();
}

// --- Timeouts

void Connection::schedule_timeouts() {
    // The timer is left running when it would fire earlier: it then looks again.
    const bool wanted = options_.idle_timeout_us != 0 || !queue_.empty() || frame_began_us_ != 0 || waiting_for_memory_;
    if (!wanted || timeout_timer_.running()) return;
    uint64_t delay_us = options_.stall_timeout_us;
    if (options_.idle_timeout_us != 0) delay_us = std::min(delay_us, options_.idle_timeout_us);
    if (options_.frame_limits.memory != nullptr) delay_us = std::min(delay_us, kStallWhileAwaitedUs);
    timeout_timer_.start_us(std::max(delay_us / 4, kTimeoutCheckMinUs));
}

void Connection::check_timeouts() {
    const auto alive = shared_from_this();
    const uint64_t now_us = net_.host.now_us();
    const MemoryBudget* memory = options_.frame_limits.memory;
    const bool awaited = memory != nullptr && memory->awaited();
    const uint64_t stall_us =
        awaited ? std::min(options_.stall_timeout_us, kStallWhileAwaitedUs) : options_.stall_timeout_us;
    const auto passed = [now_us](uint64_t since_us, uint64_t limit_us) { return now_us >= since_us + limit_us; };
    const auto refuse = [&](const std::string& why) {
        if (awaited) options_.frame_limits.memory->count_refusal();
        fail(why);
    };
    if (!queue_.empty() && passed(last_write_us_, stall_us)) return refuse("the other side does not read");
    const uint64_t frame_us = awaited ? kFrameWhileAwaitedUs : options_.stall_timeout_us * kFrameStallsMax;
    if (frame_began_us_ != 0 && !reading_paused_ &&
        (passed(last_read_us_, stall_us) || passed(frame_began_us_, frame_us))) {
        return refuse("stalled in the middle of a frame");
    }
    if (waiting_for_memory_ && passed(waiting_since_us_, kMemoryWaitMaxUs)) return refuse("no memory for it in time");
    const uint64_t last_us = std::max(last_read_us_, last_write_us_);
    const bool idle = queue_.empty() && !waiting_for_memory_;
    if (options_.idle_timeout_us != 0 && idle && passed(last_us, options_.idle_timeout_us)) return fail("idle");
    schedule_timeouts();
}

}  // namespace sandstore
