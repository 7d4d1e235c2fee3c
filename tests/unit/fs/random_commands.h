// An endless stream of commands, good and bad, from a seed: small names in few directories, so that they meet.
#pragma once

#include <string>
#include <vector>

#include "fs_fixture.h"
#include "runtime/check.h"
#include "runtime/random.h"

namespace sandstore {

inline constexpr uint64_t kTestSessionTimeoutUs = 60'000'000;

inline pb::StartStateMachine test_settings() {
    pb::StartStateMachine settings;
    settings.set_session_timeout_us(kTestSessionTimeoutUs);
    settings.set_sessions_max(4);
    settings.set_chunk_commit_window_us(kWindowUs);
    return settings;
}

class RandomCommands {
 public:
    // Without garbage there is nothing at which a state machine would stop.
    explicit RandomCommands(uint64_t seed, bool with_garbage = true) : random_(seed, 3), with_garbage_(with_garbage) {}

    std::string next(uint64_t index) {
        if (random_.below(40) == 0 && with_garbage_) return garbage();
        // Time goes forward, mostly, and now and then far enough for sessions to expire.
        if (random_.below(150) == 0) now_us_ += kTestSessionTimeoutUs / 2;
        now_us_ += random_.below(1'000'000);
        if (random_.below(20) == 0) now_us_ -= 300'000;
        tried_.clear();
        pb::Command command;
        command.set_time_us(now_us_);
        if (!last_.empty() && random_.below(10) == 0) return last_;  // A retry.
        *command.mutable_mutation() = mutation(index);
        last_ = command.SerializeAsString();
        return last_;
    }

    void learn(uint64_t, const std::string& bytes) {
        pb::MutationResult result;
        if (!result.ParseFromString(bytes)) return;
        if (result.session_id() != 0) sessions_.push_back(result.session_id());
        if (sessions_.size() > 4) sessions_.erase(sessions_.begin());
        if (result.attributes().type() == pb::FILE_TYPE_REGULAR && !tried_.empty()) files_.push_back(tried_);
        if (files_.size() > 6) files_.erase(files_.begin());
        (result.status().code() == pb::STATUS_OK ? succeeded_ : failed_)++;
    }

    uint64_t succeeded() const { return succeeded_; }
    uint64_t failed() const { return failed_; }

 private:
    std::string garbage() {
        std::string bytes;
        for (uint64_t i = random_.below(30); i > 0; --i) bytes += static_cast<char>(random_.below(256));
        return bytes;
    }

    std::string path() {
        static constexpr const char* kNames[] = {"a", "b", "c"};
        std::string path;
        for (uint64_t depth = 1 + random_.below(5) / 2; depth > 0; --depth)
            path += std::string("/") + kNames[random_.below(3)];
        if (random_.below(30) == 0) path += "/";
        if (random_.below(50) == 0) path += "/..";
        return path;
    }

    // Where a file was made not long ago, mostly.
    std::string file() {
        return files_.empty() || random_.below(4) == 0 ? path() : files_[random_.below(files_.size())];
    }

    pb::Mutation mutation(uint64_t index) {
        pb::Mutation mutation;
        if (sessions_.empty() || random_.below(30) == 0) {
            mutation.mutable_open_session();
            return mutation;
        }
        if (random_.below(30) == 0) {
            move(&mutation);
            return mutation;
        }
        mutation.set_session_id(sessions_[random_.below(sessions_.size())]);
        mutation.set_sequence(index);
        mutation.set_oldest_needed(index - random_.below(20));
        mutation.set_uid(static_cast<uint32_t>(random_.below(3)));
        const uint64_t kind = random_.below(100);
        if (kind < 15) {
            *mutation.mutable_make_directory()->mutable_at() = at(path());
            mutation.mutable_make_directory()->set_parents(random_.below(2) == 0);
            mutation.mutable_make_directory()->set_mode(static_cast<uint32_t>(random_.below(05000)));
        } else if (kind < 40) {
            tried_ = path();
            *mutation.mutable_create_file()->mutable_at() = at(tried_);
            mutation.mutable_create_file()->set_exclusive(random_.below(2) == 0);
        } else if (kind < 45) {
            *mutation.mutable_remove_file()->mutable_at() = at(file());
        } else if (kind < 50) {
            *mutation.mutable_remove_directory()->mutable_at() = at(path());
        } else if (kind < 62) {
            *mutation.mutable_rename()->mutable_from() = at(file());
            *mutation.mutable_rename()->mutable_to() = at(path());
            mutation.mutable_rename()->set_no_replace(random_.below(3) == 0);
        } else if (kind < 70) {
            *mutation.mutable_set_attributes()->mutable_at() = at(file());
            if (random_.below(2) == 0) mutation.mutable_set_attributes()->set_size(random_.below(300));
            if (random_.below(2) == 0) mutation.mutable_set_attributes()->set_mode(0600);
        } else if (kind < 96) {
            *mutation.mutable_commit_extents() = random_commit();
        } else if (kind < 97) {
            hold(&mutation);
        } else if (kind < 99) {
            lease(&mutation);
        } else {
            mutation.mutable_close_session();
        }
        return mutation;
    }

    void move(pb::Mutation* mutation) {
        static constexpr const char* kNodes[] = {"node-1", "node-2", "node-3", "node-4"};
        for (int i = 0; i < 8; ++i) {
            pb::MoveChunks::Move& move = *mutation->mutable_move_chunks()->add_moves();
            move.mutable_id()->set_term(1);
            move.mutable_id()->set_number(1 + random_.below(next_chunk_));
            const uint64_t without = random_.below(5);
            for (uint64_t node = 0; node < 4; ++node) {
                if (node < 3) move.add_from(kNodes[node]);
                if (node != without) move.add_to(kNodes[node]);
            }
        }
    }

    // A hold has the number of the entry that made it.
    void hold(pb::Mutation* mutation) {
        const uint64_t known = holds_.empty() || random_.below(3) == 0 ? 0 : holds_[random_.below(holds_.size())];
        if (known != 0 && random_.below(2) == 0) {
            mutation->mutable_release_hold()->set_hold_id(known);
            return;
        }
        mutation->mutable_hold_chunks()->set_hold_id(known);
        mutation->mutable_hold_chunks()->set_lifetime_us(1 + random_.below(200'000'000));
        if (known == 0) holds_.push_back(mutation->sequence());
    }

    // So has a lease.
    void lease(pb::Mutation* mutation) {
        const uint64_t known = leases_.empty() || random_.below(2) == 0 ? 0 : leases_[random_.below(leases_.size())];
        const uint64_t kind = known == 0 ? 0 : random_.below(3);
        if (kind == 1) {
            mutation->mutable_end_lease()->set_lease_id(known);
        } else if (kind == 2) {
            mutation->mutable_publish_file()->set_lease_id(known);
            *mutation->mutable_publish_file()->mutable_at() = at(file());
        } else {
            mutation->mutable_lease_file()->set_lease_id(known);
            mutation->mutable_lease_file()->set_upload(random_.below(2) == 0);
            *mutation->mutable_lease_file()->mutable_at() = at(file());
            if (known == 0) leases_.push_back(mutation->sequence());
        }
    }

    pb::CommitExtents random_commit() {
        pb::CommitExtents request = commit(file(), 0, {});
        request.set_append(random_.below(3) == 0);
        request.set_truncate(random_.below(5) == 0);
        request.set_create(random_.below(5) == 0);
        if (!request.append()) request.set_offset(random_.below(300));
        uint64_t offset = 0;
        for (uint64_t i = random_.below(4); i > 0; --i) {
            const uint64_t length = random_.below(40) == 0 ? 0 : 1 + random_.below(50);
            const bool known = random_.below(3) == 0;
            const uint64_t chunk = known ? 1 + random_.below(next_chunk_) : next_chunk_++;
            pb::Extent piece = extent(offset, length, chunk, random_.below(100 - length), 100);
            if (random_.below(30) == 0) piece.mutable_chunk()->set_allocated_at_us(kStartUs - 2 * kWindowUs);
            if (random_.below(30) == 0) piece.mutable_chunk()->set_replicas(1, "node-9");
            *request.add_extents() = piece;
            offset += length + random_.below(20);
        }
        return request;
    }

    RandomStream random_;
    bool with_garbage_;
    uint64_t now_us_ = kStartUs;
    uint64_t next_chunk_ = 1;
    std::vector<uint64_t> sessions_;
    std::vector<std::string> files_;
    std::vector<uint64_t> holds_;
    std::vector<uint64_t> leases_;
    std::string tried_;  // The file that the last command was to make.
    std::string last_;
    uint64_t succeeded_ = 0;
    uint64_t failed_ = 0;
};

}  // namespace sandstore
