#include "runtime/dispatcher.h"

#include <algorithm>
#include <set>

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/lanes.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/planted.h"
#include "runtime/recorder.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr size_t kMessagesPerActorAndTurn = 16;
constexpr size_t kStaleDuesKept = 4096;

constexpr std::string_view kDroppedName = "sandstore_messages_dropped_total";
constexpr std::string_view kDroppedHelp = "Messages that could not be delivered.";
constexpr std::string_view kRestartsName = "sandstore_actor_restarts_total";
constexpr std::string_view kRestartsHelp = "Actors that were restarted after a failure.";

bool is_start(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kStartLog:
        case pb::Envelope::kStartRaft:
        case pb::Envelope::kStartStateMachine:
        case pb::Envelope::kStartFiles:
        case pb::Envelope::kStartChunks:
        case pb::Envelope::kStartRepairer:
        case pb::Envelope::kStartMover:
        case pb::Envelope::kStartPoller:
        case pb::Envelope::kStartNode:
        case pb::Envelope::kStartStatus:
        case pb::Envelope::kStartClient:
            return true;
        default:
            return false;
    }
}

uint64_t stream_of(LocalAddress address) {
    return static_cast<uint64_t>(address.actor) << 32 | address.instance;
}

}  // namespace

RandomStream random_stream_of(LocalAddress address, uint64_t root_seed) {
    return {root_seed, stream_of(address)};
}

// Request ids of different runs of a process must not meet: the upper half comes from the run's seed.
RequestId first_request_id(uint64_t root_seed, LocalAddress address) {
    return (mix64(root_seed ^ mix64(stream_of(address) + 1)) & 0x7fffffff00000000u) | 1;
}

struct Dispatcher::Cell {
    ActorSpec spec;
    std::unique_ptr<Actor> actor;
    uint32_t incarnation = 1;
    RingQueue<Message> control;
    RingQueue<Message> data;
    bool is_ready = false;
    RandomStream random;
    uint64_t next_request = 0;
    TimerId next_timer = 1;
    std::set<TimerId> timers;
    std::optional<Message> start;
    uint32_t failures = 0;
    bool overflow_logged = false;
    ActorRecorder* recorder = nullptr;  // When this actor is recorded in full.

    Cell(ActorSpec the_spec, uint64_t root_seed)
        : spec(std::move(the_spec)),
          actor(spec.make()),
          random(random_stream_of(spec.address, root_seed)),
          next_request(first_request_id(root_seed, spec.address)) {}
};

// What an actor sees of the dispatcher while it handles one message.
class Dispatcher::ContextOfTurn final : public Context {
 public:
    // `recorder`: of the effects; null when none are recorded.
    ContextOfTurn(Dispatcher& dispatcher, Cell& cell, ActorRecorder* recorder)
        : dispatcher_(dispatcher), cell_(cell), recorder_(recorder), cause_(dispatcher.delivered_) {}

    uint64_t now_us() const override { return dispatcher_.turn_now_us_; }
    uint64_t wall_us() const override { return dispatcher_.turn_wall_us_; }
    LocalAddress self() const override { return cell_.spec.address; }
    uint64_t random() override { return cell_.random.next(); }

    void send(const Address& to, Message message) override {
        address(to, &message);
        if (recorder_ != nullptr) [[unlikely]]
            recorder_->send(cause_, ordinal_++, message);
        dispatcher_.route(std::move(message));
    }

    RequestId ask(const Address& to, Message message, uint64_t timeout_us) override {
        const RequestId id = dispatcher_.open_request(to, cell_.spec.address, cell_.incarnation, &cell_.next_request,
                                                      &message, timeout_us);
        send(to, std::move(message));
        return id;
    }

    void reply(const ReplyTo& to, Message message) override {
        if (to.request_id == 0) return;
        message->set_reply_to(to.request_id);
        send(to.address, std::move(message));
    }

    TimerId arm_timer(uint64_t delay_us, uint32_t tag, uint64_t data) override {
        const TimerId id = cell_.next_timer++;
        cell_.timers.insert(id);
        dispatcher_.live_timers_++;
        dispatcher_.timer_facts_[{cell_.spec.address, id}] = {tag, data};
        dispatcher_.schedule(dispatcher_.turn_now_us_ + delay_us, Due::Kind::kTimer, cell_.spec.address, id,
                             cell_.incarnation);
        if (recorder_ != nullptr) recorder_->arm_timer(cause_, ordinal_++, id, tag, data, delay_us);
        return id;
    }

    void cancel_timer(TimerId timer) override {
        if (cell_.timers.erase(timer) == 0) return;
        dispatcher_.live_timers_--;
        dispatcher_.timer_facts_.erase({cell_.spec.address, timer});
        if (recorder_ != nullptr) recorder_->cancel_timer(cause_, ordinal_++, timer);
    }

    void fail_stop(std::string reason) override {
        if (recorder_ != nullptr) recorder_->fail_stop(cause_, ordinal_++, reason);
        dispatcher_.stop(std::move(reason));
    }

    bool log_enabled(LogLevel level) const override { return dispatcher_.logger_.enabled(level); }
    void log(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override {
        dispatcher_.logger_.write(level, dispatcher_.clock_.wall_us(), actor_name(cell_.spec.address.actor), text,
                                  fields);
    }
    MetricsRegistry& metrics() override { return dispatcher_.metrics_; }

 private:
    void address(const Address& to, Message* message) {
        pb::Envelope& envelope = message->envelope();
        envelope.set_from_actor(cell_.spec.address.actor);
        envelope.set_from_instance(cell_.spec.address.instance);
        if (!envelope.from_node().empty()) envelope.clear_from_node();
        if (!to.node.empty()) envelope.set_to_node(to.node);
        envelope.set_to_actor(to.actor);
        envelope.set_to_instance(to.instance);
    }

    Dispatcher& dispatcher_;
    Cell& cell_;
    ActorRecorder* recorder_;
    uint64_t cause_;
    uint32_t ordinal_ = 0;
};

Dispatcher::Dispatcher(Options options, const Clock& clock, Logger& logger, MetricsRegistry& metrics)
    : options_(std::move(options)),
      clock_(clock),
      logger_(logger),
      metrics_(metrics),
      next_outside_request_(first_request_id(options_.root_seed, {pb::ACTOR_EXTERNAL, 0})),
      delivered_counter_(metrics.counter("sandstore_messages_delivered_total", "Messages handled by actors.")),
      slow_turns_(metrics.counter("sandstore_slow_turns_total", "Turns of an actor that took over 10 ms.")),
      timer_lag_(metrics.histogram("sandstore_loop_lag_seconds", "How late the event loop was for actors' timers.")) {
    metrics.declare(kDroppedName, kDroppedHelp, "counter");
    metrics.declare(kRestartsName, kRestartsHelp, "counter");
    turn_now_us_ = clock_.monotonic_us();
    turn_wall_us_ = clock_.wall_us();
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::add_actor(ActorSpec spec) {
    const LocalAddress address = spec.address;
    auto cell = std::make_unique<Cell>(std::move(spec), options_.root_seed);
    const auto kind = static_cast<size_t>(address.actor);
    if (cell_table_.size() <= kind) cell_table_.resize(kind + 1);
    if (cell_table_[kind].size() <= address.instance) cell_table_[kind].resize(address.instance + 1);
    cell_table_[kind][address.instance] = cell.get();
    if (recorder_ != nullptr) cell->recorder = recorder_->recorder_of(address);
    SANDSTORE_CHECK(cells_.emplace(address, std::move(cell)).second, "actor added twice: ", to_string(address));
}

void Dispatcher::add_port(LocalAddress address, Port* port) {
    ports_[address] = port;
}

Actor* Dispatcher::actor(LocalAddress address) {
    Cell* cell = find(address);
    return cell == nullptr ? nullptr : cell->actor.get();
}

Dispatcher::Cell* Dispatcher::find(LocalAddress address) {
    const auto kind = static_cast<size_t>(address.actor);
    if (kind >= cell_table_.size() || address.instance >= cell_table_[kind].size()) return nullptr;
    return cell_table_[kind][address.instance];
}

Port* Dispatcher::find_port(LocalAddress address) {
    auto found = ports_.find(address);
    return found == ports_.end() ? nullptr : found->second;
}

// --- Sending

void Dispatcher::send(const Address& to, Message message) {
    message->set_from_actor(pb::ACTOR_EXTERNAL);
    message->set_to_node(to.node);
    message->set_to_actor(to.actor);
    message->set_to_instance(to.instance);
    route(std::move(message));
}

void Dispatcher::ask(const Address& to, Message message, uint64_t timeout_us, std::function<void(Message)> done) {
    turn_now_us_ = clock_.monotonic_us();
    const RequestId id = open_request(to, {pb::ACTOR_EXTERNAL, 0}, 0, &next_outside_request_, &message, timeout_us);
    outside_done_[id] = std::move(done);
    send(to, std::move(message));
}

RequestId Dispatcher::open_request(const Address& to, LocalAddress asker, uint32_t incarnation, uint64_t* next_id,
                                   Message* message, uint64_t timeout_us) {
    const RequestId id = (*next_id)++;
    const uint64_t deadline_us = turn_now_us_ + timeout_us;
    (*message)->set_request_id(id);
    (*message)->set_deadline_us(deadline_us);
    const bool local = to.node.empty() || to.node == options_.node_id;
    open_requests_[{asker, id}] = {local ? std::string() : to.node, incarnation};
    schedule(deadline_us, Due::Kind::kRequest, asker, id, incarnation);
    return id;
}

void Dispatcher::route(Message message) {
    const std::string& to_node = message->to_node();
    if (!to_node.empty() && to_node != options_.node_id) {
        Port* transport = find_port({pb::PORT_TRANSPORT, 0});
        if (transport == nullptr) {
            count_drop("no_transport", message);
            reply(reply_to(message), {pb::PORT_TRANSPORT, 0},
                  request_failed(pb::STATUS_UNAVAILABLE, "this process has no connection to other nodes"));
            return;
        }
        transport->handle(std::move(message));
        return;
    }
    deliver(std::move(message));
}

// News of a peer concerns every instance of an actor: a node may hold several Raft groups.
void Dispatcher::tell_other_instances(const Message& news) {
    const LocalAddress first{news->to_actor(), 0};
    for (LocalAddress other{first.actor, 1}; Cell* cell = find(other); other.instance++) {
        Message copy = news.clone();
        copy->set_to_instance(other.instance);
        enqueue(*cell, std::move(copy));
    }
}

void Dispatcher::deliver(Message message) {
    if (!message->to_node().empty()) message->clear_to_node();
    const LocalAddress to{message->to_actor(), message->to_instance()};
    if (message->reply_to() != 0 && !close_request(message)) return;
    if (to.actor == pb::ACTOR_EXTERNAL) {
        outside_inbox_.push_back(std::move(message));
        return;
    }
    const bool is_peer_news = message->has_peer_up() || message->has_peer_down();
    if (is_peer_news && to.instance == 0) [[unlikely]]
        tell_other_instances(message);
    if (Cell* cell = find(to); cell != nullptr) {
        enqueue(*cell, std::move(message));
        return;
    }
    if (Port* port = find_port(to); port != nullptr) {
        port->handle(std::move(message));
        return;
    }
    count_drop("no_such_actor", message);
    reply(reply_to(message), to,
          request_failed(pb::STATUS_UNAVAILABLE, str_cat("this node has no actor ", actor_name(to.actor))));
}

void Dispatcher::reply(const ReplyTo& to, LocalAddress from, Message message) {
    if (to.request_id == 0) return;
    message->set_reply_to(to.request_id);
    message->set_from_actor(from.actor);
    message->set_from_instance(from.instance);
    message->set_to_node(to.address.node);
    message->set_to_actor(to.address.actor);
    message->set_to_instance(to.address.instance);
    route(std::move(message));
}

// True when the reply ends an open request of the present incarnation. Late and foreign ones are counted.
bool Dispatcher::close_request(const Message& message) {
    auto found = open_requests_.find({{message->to_actor(), message->to_instance()}, message->reply_to()});
    if (found == open_requests_.end()) {
        count_drop("late_reply", message);
        return false;
    }
    if (!message->from_node().empty() && message->from_node() != found->second.to_node) {
        count_drop("reply_from_another_node", message);  // Only the node that was asked may answer.
        return false;
    }
    const uint32_t incarnation = found->second.incarnation;
    open_requests_.erase(found);
    forget_stale_dues();
    if (message->to_actor() == pb::ACTOR_EXTERNAL) return true;
    const Cell* cell = find({message->to_actor(), message->to_instance()});
    return cell != nullptr && cell->incarnation == incarnation && cell->actor != nullptr;
}

void Dispatcher::enqueue(Cell& cell, Message message) {
    if (cell.actor == nullptr) {
        count_drop("actor_restarting", message);
        reply(reply_to(message), cell.spec.address,
              request_failed(pb::STATUS_UNAVAILABLE,
                             str_cat(actor_name(cell.spec.address.actor), " is being restarted")));
        return;
    }
    if (lane_of(message->body_case()) == Lane::kControl) {
        cell.control.push_back(std::move(message));
    } else if (cell.data.size() >= options_.mailbox_messages_max &&
               (full_policy_of(message->body_case()) != FullPolicy::kAccept || planted("full-mailboxes-lose-all"))) {
        overflow(cell, std::move(message));
        return;
    } else {
        cell.data.push_back(std::move(message));
    }
    if (!cell.is_ready) {
        cell.is_ready = true;
        ready_.push_back(&cell);
    }
}

void Dispatcher::overflow(Cell& cell, Message message) {
    count_drop("mailbox_full", message);
    if (!cell.overflow_logged) {
        cell.overflow_logged = true;
        logger_.write(LogLevel::kWarning, clock_.wall_us(), actor_name(cell.spec.address.actor), "mailbox full",
                      {{"refused", body_name(message.envelope())}});
    }
    if (full_policy_of(message->body_case()) == FullPolicy::kReject) {
        reply(reply_to(message), cell.spec.address,
              request_failed(pb::STATUS_RESOURCE_EXHAUSTED,
                             str_cat("too many requests wait for ", actor_name(cell.spec.address.actor))));
    }
}

void Dispatcher::node_unreachable(std::string_view node, std::string_view why) {
    std::vector<RequestKey> lost;
    for (const auto& [key, request] : open_requests_) {
        if (request.to_node == node) lost.push_back(key);
    }
    // The table has no order; the failures must come in one.
    std::sort(lost.begin(), lost.end(), [](const RequestKey& a, const RequestKey& b) {
        return a.asker != b.asker ? a.asker < b.asker : a.id < b.id;
    });
    for (const RequestKey& key : lost) {
        reply({Address(key.asker), key.id, 0}, {pb::PORT_TRANSPORT, 0}, request_failed(pb::STATUS_UNAVAILABLE, why));
    }
}

void Dispatcher::count_drop(std::string_view reason, const Message& message) {
    metrics_
        .counter(kDroppedName, kDroppedHelp,
                 {{"reason", std::string(reason)}, {"message", std::string(body_name(message.envelope()))}})
        .add();
    if (logger_.enabled(LogLevel::kDebug)) {
        logger_.write(LogLevel::kDebug, clock_.wall_us(), "runtime", "message dropped",
                      {{"reason", reason},
                       {"message", body_name(message.envelope())},
                       {"from", to_string(sender_of(message))},
                       {"to", to_string(receiver_of(message))}});
    }
}

// --- Turns

bool Dispatcher::run(size_t messages_max, uint64_t budget_us) {
    const uint64_t started_us = clock_.monotonic_us();
    turn_now_us_ = started_us;
    turn_wall_us_ = clock_.wall_us();
    run_outside_inbox();
    size_t done = 0;
    while (!ready_.empty() && done < messages_max && !stop_reason_) {
        Cell& cell = *ready_.take_front();
        size_t taken = 0;
        pb::Envelope::BodyCase last = pb::Envelope::BODY_NOT_SET;
        const size_t batch = std::min(kMessagesPerActorAndTurn, messages_max - done);
        while (taken < batch && !stop_reason_) {
            RingQueue<Message>& lane = cell.control.empty() ? cell.data : cell.control;
            if (lane.empty()) break;
            Message message = lane.take_front();
            last = message->body_case();
            dispatch(cell, std::move(message));
            taken++;
        }
        done += taken;
        cell.is_ready = !cell.control.empty() || !cell.data.empty();
        if (cell.is_ready) ready_.push_back(&cell);
        const uint64_t now_us = clock_.monotonic_us();
        if (now_us - turn_now_us_ > kSlowTurnUs) {
            slow_turns_.add();
            const auto* field = pb::Envelope::descriptor()->FindFieldByNumber(last);
            logger_.write(LogLevel::kWarning, clock_.wall_us(), actor_name(cell.spec.address.actor), "slow turn",
                          {{"took_us", now_us - turn_now_us_},
                           {"messages", taken},
                           {"last", field == nullptr ? std::string("empty") : field->name()}});
        }
        turn_now_us_ = now_us;
        if (now_us - started_us >= budget_us || hurried_) break;
    }
    hurried_ = false;
    return has_work() && !stop_reason_;
}

void Dispatcher::set_recorder(NodeRecorder* recorder) {
    recorder_ = recorder;
    for (auto& [address, cell] : cells_) {
        cell->recorder = recorder == nullptr ? nullptr : recorder->recorder_of(address);
    }
}

void Dispatcher::flush_recorder() {
    if (recorder_ == nullptr) return;
    recorder_->flush_when_due(turn_now_us_);
    const std::string problem = recorder_->problem();
    if (problem.empty()) return;
    logger_.write(LogLevel::kError, clock_.wall_us(), "runtime", "the trace ends here", {{"reason", problem}});
    set_recorder(nullptr);
}

void Dispatcher::run_outside_inbox() {
    std::deque<Message> arrived;
    arrived.swap(outside_inbox_);
    for (Message& message : arrived) {
        auto found = outside_done_.find(message->reply_to());
        if (found == outside_done_.end()) continue;
        std::function<void(Message)> done = std::move(found->second);
        outside_done_.erase(found);
        done(std::move(message));
    }
}

bool Dispatcher::accept_timer(Cell& cell, const Message& message) {
    const TimerId id = message->timer_fired().timer_id();
    if (message->incarnation() != cell.incarnation || cell.timers.erase(id) == 0) return false;
    live_timers_--;
    timer_facts_.erase({cell.spec.address, id});
    return true;
}

void Dispatcher::dispatch(Cell& cell, Message message) {
    if (cell.actor == nullptr) return;
    const pb::Envelope::BodyCase body = message->body_case();
    if (body == pb::Envelope::kTimerFired && !accept_timer(cell, message)) return;
    if (is_start(body) && cell.spec.restartable) cell.start = message.clone();
    delivered_++;
    delivered_counter_.add();
    if (observer_) [[unlikely]]
        observer_(message);
    try {
        take_turn(cell, std::move(message));
    } catch (const InvariantBroken& broken) {
        stop(broken.what());
    } catch (const std::exception& error) {
        actor_failed(cell, error.what());
    }
}

void Dispatcher::take_turn(Cell& cell, Message message) {
    ActorRecorder* of_effects = nullptr;
    if (cell.recorder != nullptr) {
        cell.recorder->deliver(delivered_, turn_now_us_, turn_wall_us_, cell.random.draws(), message);
        if (cell.recorder->wants_effects()) of_effects = cell.recorder;
    } else if (recorder_ != nullptr) {
        recorder_->record(delivered_, turn_now_us_, message);
    }
    ContextOfTurn context(*this, cell, of_effects);
    cell.actor->receive(std::move(message), context);
}

void Dispatcher::actor_failed(Cell& cell, const std::string& reason) {
    const std::string_view name = actor_name(cell.spec.address.actor);
    if (!cell.spec.restartable) {
        stop(str_cat(name, " failed: ", reason));
        return;
    }
    const uint64_t delay_us = std::min(kRestartDelayMaxUs, kRestartDelayMinUs << std::min<uint32_t>(cell.failures, 10));
    cell.failures++;
    logger_.write(LogLevel::kError, clock_.wall_us(), name, "failed, will be restarted",
                  {{"reason", reason}, {"delay_ms", delay_us / 1000}});
    metrics_.counter(kRestartsName, kRestartsHelp, {{"actor", std::string(name)}}).add();
    cell.actor.reset();
    cell.incarnation++;
    for (TimerId id : cell.timers) timer_facts_.erase({cell.spec.address, id});
    live_timers_ -= cell.timers.size();
    cell.timers.clear();
    if (cell.recorder != nullptr) cell.recorder->restart(cell.spec.address, cell.incarnation, reason);
    RingQueue<Message> waiting;
    waiting.swap(cell.data);
    cell.control.clear();
    while (!waiting.empty()) enqueue(cell, waiting.take_front());  // Refused, each with its reason.
    schedule(clock_.monotonic_us() + delay_us, Due::Kind::kRestart, cell.spec.address, 0, cell.incarnation);
}

void Dispatcher::restart(Cell& cell) {
    cell.actor = cell.spec.make();
    if (cell.start) enqueue(cell, cell.start->clone());
}

void Dispatcher::stop(std::string reason) {
    if (stop_reason_) return;
    stop_cause_ = delivered_;
    stop_reason_ = std::move(reason);
    if (recorder_ != nullptr) recorder_->node_stopped(stop_cause_, *stop_reason_);
}

// --- Time

void Dispatcher::schedule(uint64_t at_us, Due::Kind kind, LocalAddress owner, uint64_t id, uint32_t incarnation) {
    dues_.push({at_us, next_order_++, kind, owner, id, incarnation});
}

bool Dispatcher::is_live(const Due& due) {
    switch (due.kind) {
        case Due::Kind::kTimer: {
            const Cell* cell = find(due.owner);
            return cell != nullptr && cell->incarnation == due.incarnation && cell->timers.contains(due.id);
        }
        case Due::Kind::kRequest:
            return open_requests_.contains({due.owner, due.id});
        case Due::Kind::kRestart:
            return true;
    }
    return false;
}

// Most requests end long before their deadline. Their entries are dropped when they are the larger part of the heap.
void Dispatcher::forget_stale_dues() {
    if (dues_.size() < kStaleDuesKept + 2 * (live_timers_ + open_requests_.size())) return;
    std::vector<Due> live;
    live.reserve(live_timers_ + open_requests_.size() + 8);
    for (; !dues_.empty(); dues_.pop()) {
        if (is_live(dues_.top())) live.push_back(dues_.top());
    }
    dues_ = decltype(dues_)(std::greater<>(), std::move(live));
}

std::optional<uint64_t> Dispatcher::next_due_us() {
    while (!dues_.empty() && !is_live(dues_.top())) dues_.pop();
    if (dues_.empty()) return std::nullopt;
    return dues_.top().at_us;
}

void Dispatcher::fire_due() {
    const uint64_t now_us = clock_.monotonic_us();
    while (!dues_.empty() && dues_.top().at_us <= now_us) {
        const Due due = dues_.top();
        dues_.pop();
        if (!is_live(due)) continue;
        if (due.kind == Due::Kind::kTimer) timer_lag_.observe_us(now_us - due.at_us);
        fire(due);
    }
}

void Dispatcher::fire(const Due& due) {
    if (due.kind == Due::Kind::kRestart) {
        restart(*find(due.owner));
        return;
    }
    if (due.kind == Due::Kind::kRequest) {
        reply({Address(due.owner), due.id, 0}, due.owner,
              request_failed(pb::STATUS_DEADLINE_EXCEEDED, "no answer before the deadline"));
        return;
    }
    const TimerFacts facts = timer_facts_[{due.owner, due.id}];
    Message message;
    pb::TimerFired* fired = message->mutable_timer_fired();
    fired->set_timer_id(due.id);
    fired->set_tag(facts.tag);
    fired->set_data(facts.data);
    message->set_from_actor(due.owner.actor);
    message->set_from_instance(due.owner.instance);
    message->set_to_actor(due.owner.actor);
    message->set_to_instance(due.owner.instance);
    message->set_incarnation(due.incarnation);
    enqueue(*find(due.owner), std::move(message));
}

}  // namespace sandstore
