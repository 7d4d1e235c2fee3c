// Many requests against a small imitation of a cluster that loses requests and replies, delivers copies late, changes
// its leader, forgets sessions and loses chunks. Whatever happens: every request is answered exactly once before its
// deadline; no mutation is applied twice; what was acknowledged was applied, what was refused was not; bytes read are
// the bytes written, and those of a file that is replaced again and again are of one writer. When the faults are over,
// every file that was acknowledged can be read.
#include <algorithm>

#include "client/checksums.h"
#include "runtime/random.h"
#include "tests/unit/client/client_kit.h"

namespace sandstore {
namespace {

constexpr int kExtentsPerPage = 2;
constexpr const char* kReplaced = "/replaced";
constexpr const char* kServers[] = {"a:1", "b:1", "c:1"};

// The replicated state of the imitation: which directory was made how often, files as lists of chunks.
struct FakeState {
    std::map<std::string, int> made;  // By path: how often a mutation took effect.
    std::map<uint64_t, std::map<uint64_t, pb::MutationResult>> sessions;
    std::map<uint64_t, uint64_t> oldest_needed;
    std::map<std::string, std::vector<pb::Extent>> files;
    std::vector<std::string> paths;            // By inode, from 1 on.
    std::map<std::string, uint64_t> contents;  // Of each file: rises when it is replaced.
    uint64_t next_session = 100;
};

class FakeCluster {
 public:
    FakeCluster(StepKit& kit, uint64_t seed) : kit_(kit), random_(seed, 1) {}

    bool chance(uint64_t percent) { return random_.below(100) < percent; }
    uint64_t below(uint64_t bound) { return random_.below(bound); }
    void heal() { healthy_ = true; }

    // Takes what the client sent and schedules what the servers do with it.
    void collect() {
        std::vector<pb::Envelope::BodyCase> bodies{pb::Envelope::kMutation, pb::Envelope::kQuery,
                                                   pb::Envelope::kAllocateChunks, pb::Envelope::kChunkPut,
                                                   pb::Envelope::kChunkGet};
        for (const auto body : bodies) {
            while (auto sent = kit_.try_take(body)) receive(std::move(*sent));
        }
    }

    // The next thing that happens at a server or on the way back; false when nothing is under way.
    bool step(uint64_t until_us) {
        if (events_.empty() || events_.begin()->first > until_us) return false;
        auto node = events_.extract(events_.begin());
        if (kit_.now_us() < node.key()) kit_.advance(node.key() - kit_.now_us());
        Event event = std::move(node.mapped());
        if (event.at_server) {
            handle(std::move(event.message));
        } else if (open_.erase(event.reply_to)) {
            kit_.answer(event.asked, std::move(event.message));
        }
        return true;
    }
    std::optional<uint64_t> next_us() const {
        return events_.empty() ? std::nullopt : std::optional<uint64_t>(events_.begin()->first);
    }

    FakeState state;

 private:
    struct Event {
        bool at_server = false;
        uint64_t reply_to = 0;
        Message asked;
        Message message;
    };

    void receive(Message sent) {
        const uint64_t id = sent->request_id();
        open_.insert(id);
        // The runtime's promise: the request ends by its timeout.
        after(sent->deadline_us() - kit_.now_us(),
              {false, id, sent.clone(), request_failed(pb::STATUS_DEADLINE_EXCEEDED, "no reply in time")});
        if (!healthy_ && chance(5)) {
            after(below(2000), {false, id, sent.clone(), request_failed(pb::STATUS_UNAVAILABLE, "refused")});
            return;
        }
        if (!healthy_ && chance(10)) return;                                               // Lost.
        if (!healthy_ && chance(5)) after(below(3'000'000), {true, 0, {}, sent.clone()});  // A late copy too.
        after(below(5000), {true, 0, {}, std::move(sent)});
    }

    void after(uint64_t delay_us, Event event) { events_.emplace(kit_.now_us() + delay_us, std::move(event)); }

    void reply(const Message& request, Message answer) {
        if (!healthy_ && chance(10)) return;  // Lost on the way back.
        after(below(healthy_ ? 3000 : 200'000), {false, request->request_id(), request.clone(), std::move(answer)});
    }

    void handle(Message request) {
        if (!healthy_ && chance(2)) leader_ = below(3);
        const std::string server = request->to_node().substr(1);
        switch (request->body_case()) {
            case pb::Envelope::kChunkPut:
                return on_chunk_put(request);
            case pb::Envelope::kChunkGet:
                return on_chunk_get(request, server);
            default:
                break;
        }
        pb::Status status;
        if (server != kServers[leader_]) {
            status.set_code(pb::STATUS_NOT_LEADER);
            if (chance(50)) status.set_leader_address(kServers[chance(80) ? leader_ : below(3)]);
        } else if (!healthy_ && chance(5)) {
            status.set_code(pb::STATUS_RESOURCE_EXHAUSTED);
        }
        if (request->has_mutation()) return on_mutation(request, status);
        if (request->has_query()) return on_query(request, status);
        pb::AllocateChunksReply places;
        *places.mutable_status() = status;
        for (uint32_t i = 0; status.code() == 0 && i < request->allocate_chunks().count(); ++i) {
            *places.add_places() = place(next_chunk_++, {"a:1", "b:1", "c:1"});
        }
        reply(request, message_of(places));
    }

    void on_mutation(const Message& request, const pb::Status& status) {
        pb::MutationResult result;
        *result.mutable_status() = status;
        if (status.code() != pb::STATUS_OK) return reply(request, message_of(result));
        reply(request, message_of(apply(request->mutation())));
        if (!healthy_ && chance(1)) state.sessions.clear();  // Expired, all of them.
    }

    pb::MutationResult apply(const pb::Mutation& mutation) {
        pb::MutationResult result;
        if (mutation.has_open_session()) {
            result.set_session_id(state.next_session);
            state.sessions[state.next_session++];
            return result;
        }
        const auto session = state.sessions.find(mutation.session_id());
        uint64_t& oldest = state.oldest_needed[mutation.session_id()];
        if (session == state.sessions.end() || mutation.sequence() < oldest) {
            result.mutable_status()->set_code(pb::STATUS_SESSION_EXPIRED);
            return result;
        }
        oldest = std::max(oldest, mutation.oldest_needed());
        const auto known = session->second.find(mutation.sequence());
        if (known != session->second.end()) return known->second;
        if (mutation.has_make_directory()) {
            const std::string& path = mutation.make_directory().at().path();
            if (path.starts_with("/refused")) {
                result.mutable_status()->set_code(pb::STATUS_EEXIST);
            } else {
                ++state.made[path];
            }
        } else if (mutation.has_commit_extents()) {
            commit(mutation.commit_extents(), &result);
        }
        session->second[mutation.sequence()] = result;
        return result;
    }

    void commit(const pb::CommitExtents& commit, pb::MutationResult* result) {
        if (!healthy_ && chance(10)) {
            result->mutable_status()->set_code(pb::STATUS_ESTALE);
            return;
        }
        ++state.made[commit.at().path()];
        auto& extents = state.files[commit.at().path()];
        if (++state.contents[commit.at().path()] == 1) state.paths.push_back(commit.at().path());
        // What a file ceases to use is gone at once.
        for (const pb::Extent& extent : extents) {
            for (const char* server : kServers) chunks_.erase({server, extent.chunk().id().number()});
        }
        extents.assign(commit.extents().begin(), commit.extents().end());
    }

    void on_query(const Message& request, const pb::Status& status) {
        pb::QueryResult result;
        *result.mutable_status() = status;
        if (status.code() == pb::STATUS_OK) {
            const pb::ReadExtents& read = request->query().read_extents();
            const uint64_t inode = read.at().inode();
            const auto found = state.files.find(inode == 0 ? read.at().path() : state.paths.at(inode - 1));
            if (found == state.files.end()) {
                result.mutable_status()->set_code(pb::STATUS_ENOENT);
            } else if (read.content() != 0 && read.content() != state.contents[found->first]) {
                result.mutable_status()->set_code(pb::STATUS_ESTALE);
            } else {
                for (const pb::Extent& extent : found->second) {
                    if (extent.offset() < read.offset()) continue;
                    result.set_more(result.extents_size() == kExtentsPerPage);
                    if (result.more()) break;
                    pb::Extent& added = *result.add_extents();
                    added = extent;
                    for (const char* server : kServers) added.mutable_chunk()->add_addresses(server);
                }
                const auto path = std::find(state.paths.begin(), state.paths.end(), found->first);
                result.mutable_attributes()->set_inode(static_cast<uint64_t>(path - state.paths.begin()) + 1);
                result.set_content(state.contents[found->first]);
                const pb::Extent& last = found->second.back();
                result.mutable_attributes()->set_size(last.offset() + last.length());
            }
        }
        reply(request, message_of(result));
    }

    void on_chunk_put(const Message& request) {
        pb::ChunkPutReply stored;
        if (chunk_checksums(request.payload).SerializeAsString() !=
            request->chunk_put().checksums().SerializeAsString()) {
            ADD_FAILURE() << "checksums do not match the bytes";
        }
        if (!healthy_ && chance(10)) {
            stored.mutable_status()->set_code(chance(50) ? pb::STATUS_ENOSPC : pb::STATUS_UNAVAILABLE);
            return reply(request, message_of(stored));
        }
        const auto& put_at = request->chunk_put().place();
        const int missing = healthy_ || chance(70) ? -1 : static_cast<int>(below(3));
        for (int i = 0; i < put_at.addresses_size(); ++i) {
            if (i == missing) continue;
            chunks_[{put_at.addresses(i), put_at.id().number()}] = request.payload;
            stored.add_stored_on(put_at.replicas(i));
        }
        reply(request, message_of(stored));
    }

    void on_chunk_get(const Message& request, const std::string& server) {
        pb::ChunkGetReply got;
        const auto found = chunks_.find({server, request->chunk_get().id().number()});
        Payload bytes;
        if (found == chunks_.end()) {
            got.mutable_status()->set_code(pb::STATUS_ENOENT);
        } else if (!healthy_ && chance(10)) {
            got.mutable_status()->set_code(pb::STATUS_CORRUPTED);
        } else {
            bytes = found->second.slice(request->chunk_get().offset(), request->chunk_get().length());
            got.set_payload_crc32c(crc32c(bytes));
            if (!healthy_ && chance(5)) got.set_payload_crc32c(12345);
        }
        reply(request, message_of(got, bytes));
    }

    StepKit& kit_;
    RandomStream random_;
    bool healthy_ = false;
    uint64_t leader_ = 0;
    uint64_t next_chunk_ = 1;
    std::multimap<uint64_t, Event> events_;
    std::set<uint64_t> open_;
    std::map<std::pair<std::string, uint64_t>, Payload> chunks_;
};

// What the program asked, and what it must hold the answer against.
struct Asked {
    enum class Kind { kMake, kRefused, kWrite, kRead, kReplace, kReadReplaced };
    Kind kind;
    uint64_t deadline_us;
    std::string path;
    bool answered = false;
};

class Program {
 public:
    explicit Program(uint64_t seed) : kit_(client_kit({"a:1", "b:1", "c:1"})), cluster_(*kit_, seed) {}

    void run() {
        for (int i = 0; i < 150; ++i) {
            ask(i);
            play_until(kit_->now_us() + cluster_.below(60'000));
        }
        cluster_.heal();
        play_until(kit_->now_us() + 12 * kSecond);
        EXPECT_GT(succeeded_, 50);
        healed_ = true;
        for (const std::string& path : written_) {
            const Asked again{Asked::Kind::kRead, kit_->now_us() + 10 * kSecond, path};
            asked_[kit_->request(read(path), kProgram, 10 * kSecond)] = again;
        }
        play_until(kit_->now_us() + 12 * kSecond);
        EXPECT_GT(written_.size(), 10u);
        for (const auto& [id, asked] : asked_) EXPECT_TRUE(asked.answered) << asked.path;
        auto& actor = static_cast<ClientActor&>(kit_->actor());
        EXPECT_EQ(actor.operations(), 0u);
        EXPECT_EQ(actor.open_calls(), 0u);
        EXPECT_EQ(kit_->timers(), 0u);
        for (const auto& [path, times] : cluster_.state.made) {
            if (path == kReplaced) continue;
            EXPECT_LE(times, 1) << path;
        }
    }

 private:
    void ask(int i) {
        const uint64_t timeout_us = cluster_.chance(20) ? 100'000 + cluster_.below(500'000) : 10 * kSecond;
        Asked asked{Asked::Kind::kMake, kit_->now_us() + timeout_us, "/" + std::to_string(i)};
        Message message = make_directory(asked.path);
        const uint64_t kind = cluster_.below(10);
        if (kind == 0) {
            asked.kind = Asked::Kind::kRefused;
            asked.path = "/refused" + asked.path;
            message = make_directory(asked.path);
        } else if (kind <= 3) {
            asked.kind = Asked::Kind::kWrite;
            message = write(asked.path, i);
        } else if (kind == 7) {
            asked.kind = Asked::Kind::kReplace;
            message = write(kReplaced, i);
            replacements_.insert(content_[kReplaced]);
        } else if (kind == 8) {
            asked.kind = Asked::Kind::kReadReplaced;
            message = read(kReplaced);
        } else if (kind <= 6 && !written_.empty()) {
            asked.kind = Asked::Kind::kRead;
            asked.path = written_[cluster_.below(written_.size())];
            message = read(asked.path);
        }
        asked_[kit_->request(std::move(message), kProgram, timeout_us)] = asked;
    }

    Message write(const std::string& path, int i) {
        pb::ClientWrite write;
        *write.mutable_at() = at(path);
        write.set_truncate(true);
        content_[path] = pattern(1 + cluster_.below(20'000), static_cast<unsigned>(i));
        return message_of(write, Payload::copy_of(content_[path]));
    }

    Message read(const std::string& path) {
        pb::ClientRead read;
        *read.mutable_at() = at(path);
        read.set_length(1 << 20);
        return message_of(read);
    }

    void play_until(uint64_t until_us) {
        while (true) {
            cluster_.collect();
            check_answers();
            // The kit's own timers and the cluster's events, in the order of time.
            if (cluster_.step(std::min(until_us, kit_->now_us()))) continue;
            if (kit_->now_us() >= until_us) return;
            const uint64_t next_us = std::min(until_us, cluster_.next_us().value_or(until_us));
            kit_->advance(std::clamp<uint64_t>(next_us - kit_->now_us(), 1, 1000));
        }
    }

    void check_answers() {
        for (auto& [id, asked] : asked_) {
            const size_t count = answers(*kit_, id);
            if (count == 0) continue;
            EXPECT_EQ(count, 1u) << asked.path;
            EXPECT_FALSE(asked.answered) << asked.path << " was answered twice";
            EXPECT_LT(kit_->now_us(), asked.deadline_us) << asked.path;
            asked.answered = true;
            check(asked, kit_->take_answer(id));
        }
    }

    void check(const Asked& asked, const Message& answer) {
        const pb::StatusCode code = answer->has_mutation_result()      ? answer->mutation_result().status().code()
                                    : answer->has_client_write_reply() ? answer->client_write_reply().status().code()
                                                                       : answer->client_read_reply().status().code();
        succeeded_ += code == pb::STATUS_OK;
        const std::set<pb::StatusCode> unknown{pb::STATUS_DEADLINE_EXCEEDED, pb::STATUS_UNAVAILABLE};
        switch (asked.kind) {
            case Asked::Kind::kMake:
                EXPECT_TRUE(code == pb::STATUS_OK || unknown.contains(code)) << code;
                if (code == pb::STATUS_OK) {
                    EXPECT_EQ(cluster_.state.made[asked.path], 1) << asked.path;
                }
                break;
            case Asked::Kind::kRefused:
                EXPECT_TRUE(code == pb::STATUS_EEXIST || unknown.contains(code)) << code;
                break;
            case Asked::Kind::kWrite:
                EXPECT_TRUE(code == pb::STATUS_OK || code == pb::STATUS_ESTALE || code == pb::STATUS_ENOSPC ||
                            unknown.contains(code))
                    << code;
                if (code == pb::STATUS_OK) {
                    EXPECT_EQ(cluster_.state.made[asked.path], 1) << asked.path;
                    written_.push_back(asked.path);
                }
                break;
            case Asked::Kind::kReplace:
                EXPECT_TRUE(code == pb::STATUS_OK || code == pb::STATUS_ESTALE || code == pb::STATUS_ENOSPC ||
                            unknown.contains(code))
                    << code;
                break;
            case Asked::Kind::kReadReplaced:
                EXPECT_NE(code, pb::STATUS_ESTALE) << "it is read by its name";
                if (code == pb::STATUS_OK) {
                    EXPECT_TRUE(replacements_.contains(answer.payload.to_string())) << "no writer wrote that";
                }
                break;
            case Asked::Kind::kRead:
                EXPECT_TRUE(code == pb::STATUS_OK || (!healed_ && (code == pb::STATUS_EIO || unknown.contains(code))))
                    << code << " for " << asked.path;
                if (code == pb::STATUS_OK) {
                    EXPECT_EQ(answer.payload.to_string(), content_[asked.path]) << asked.path;
                }
                break;
        }
    }

    std::unique_ptr<StepKit> kit_;
    FakeCluster cluster_;
    std::map<uint64_t, Asked> asked_;
    std::map<std::string, std::string> content_;
    std::vector<std::string> written_;
    std::set<std::string> replacements_;
    int succeeded_ = 0;
    bool healed_ = false;
};

class RandomFaults : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomFaults, every_request_ends_once_and_nothing_is_applied_twice) {
    Program(GetParam()).run();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace sandstore
