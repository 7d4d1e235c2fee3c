// Short words for the tests of the namespace: requests, and a namespace that is asked and told in one line each.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "actors/fs/file_state.h"
#include "actors/fs/namespace.h"
#include "messages/fs.pb.h"

namespace sandstore {

inline constexpr uint64_t kStartUs = 1'700'000'000'000'000;
inline constexpr uint64_t kWindowUs = 3'600'000'000;

inline pb::At at(std::string_view path, uint64_t inode = 0) {
    pb::At place;
    place.set_inode(inode);
    place.set_path(std::string(path));
    return place;
}

inline pb::Extent extent(uint64_t offset, uint64_t length, uint64_t chunk, uint64_t chunk_offset = 0,
                         uint64_t chunk_length = 0) {
    pb::Extent extent;
    extent.set_offset(offset);
    extent.set_length(length);
    extent.set_chunk_offset(chunk_offset);
    extent.set_chunk_length(chunk_length == 0 ? chunk_offset + length : chunk_length);
    extent.mutable_chunk()->mutable_id()->set_term(1);
    extent.mutable_chunk()->mutable_id()->set_number(chunk);
    extent.mutable_chunk()->set_allocated_at_us(kStartUs);
    for (const char* node : {"node-1", "node-2", "node-3"}) extent.mutable_chunk()->add_replicas(node);
    return extent;
}

inline pb::CommitExtents commit(std::string_view path, uint64_t offset, std::initializer_list<pb::Extent> extents) {
    pb::CommitExtents commit;
    *commit.mutable_at() = at(path);
    commit.set_offset(offset);
    for (const pb::Extent& extent : extents) *commit.add_extents() = extent;
    return commit;
}

// Each change happens one second after the one before, and leaves the invariants whole.
class NamespaceTest : public testing::Test {
 protected:
    Occasion next_moment() {
        now_us_ += 1'000'000;
        return {now_us_, now_us_, 1000, 100, kWindowUs};
    }
    uint64_t now_us() const { return now_us_; }
    void set_clock_back(uint64_t by_us) { now_us_ -= by_us; }

    pb::StatusCode mkdir(std::string_view path, bool parents = false, uint32_t mode = 0755) {
        pb::MakeDirectory request;
        *request.mutable_at() = at(path);
        request.set_mode(mode);
        request.set_parents(parents);
        return done(files_.make_directory(request, next_moment(), fresh_result()));
    }
    pb::StatusCode create(std::string_view path, bool exclusive = false, uint32_t mode = 0644) {
        pb::CreateFile request;
        *request.mutable_at() = at(path);
        request.set_mode(mode);
        request.set_exclusive(exclusive);
        return done(files_.create_file(request, next_moment(), fresh_result()));
    }
    pb::StatusCode remove(std::string_view path) {
        pb::RemoveFile request;
        *request.mutable_at() = at(path);
        return done(files_.remove_file(request, next_moment()));
    }
    pb::StatusCode rmdir(std::string_view path) {
        pb::RemoveDirectory request;
        *request.mutable_at() = at(path);
        return done(files_.remove_directory(request, next_moment()));
    }
    pb::StatusCode rename(std::string_view from, std::string_view to, bool no_replace = false) {
        pb::Rename request;
        *request.mutable_from() = at(from);
        *request.mutable_to() = at(to);
        request.set_no_replace(no_replace);
        return done(files_.rename(request, next_moment(), fresh_result()));
    }
    pb::StatusCode truncate(std::string_view path, uint64_t size) {
        pb::SetAttributes request;
        *request.mutable_at() = at(path);
        request.set_size(size);
        return done(files_.set_attributes(request, next_moment(), fresh_result()));
    }
    pb::StatusCode apply(const pb::CommitExtents& request) {
        return done(files_.commit_extents(request, next_moment(), fresh_result()));
    }

    pb::StatusCode stat_code(std::string_view path, uint64_t inode = 0) const {
        pb::Stat query;
        *query.mutable_at() = at(path, inode);
        pb::QueryResult result;
        return files_.stat(query, &result).code;
    }
    pb::Attributes stat(std::string_view path) const {
        pb::Stat query;
        *query.mutable_at() = at(path);
        pb::QueryResult result;
        EXPECT_EQ(files_.stat(query, &result).code, pb::STATUS_OK) << path;
        return result.attributes();
    }
    bool exists(std::string_view path) const { return stat_code(path) == pb::STATUS_OK; }
    pb::QueryResult list(std::string_view path, std::string_view after = "", uint32_t limit = 0) const {
        pb::ListDirectory query;
        *query.mutable_at() = at(path);
        query.set_after(std::string(after));
        query.set_limit(limit);
        pb::QueryResult result;
        EXPECT_EQ(files_.list_directory(query, &result).code, pb::STATUS_OK) << path;
        return result;
    }
    std::vector<std::string> names(std::string_view path) const {
        std::vector<std::string> names;
        const pb::QueryResult listed = list(path);
        for (const pb::DirectoryEntry& entry : listed.entries()) names.push_back(entry.name());
        return names;
    }
    pb::QueryResult read(std::string_view path, uint64_t offset, uint64_t length) const {
        pb::ReadExtents query;
        *query.mutable_at() = at(path);
        query.set_offset(offset);
        query.set_length(length);
        pb::QueryResult result;
        EXPECT_EQ(files_.read_extents(query, &result).code, pb::STATUS_OK) << path;
        return result;
    }
    pb::QueryResult chunks_of(std::string_view node, uint64_t after_number = 0, uint32_t limit = 0) const {
        pb::ChunksOfNode query;
        query.set_node_id(std::string(node));
        query.set_limit(limit);
        if (after_number > 0) {
            query.mutable_after()->set_term(1);
            query.mutable_after()->set_number(after_number);
        }
        pb::QueryResult result;
        files_.chunks_of_node(query, &result);
        return result;
    }

    pb::MutationResult* fresh_result() {
        result_.Clear();
        return &result_;
    }
    pb::StatusCode done(const Outcome& outcome) {
        files_.check_invariants();
        return outcome.code;
    }

    Namespace files_;
    pb::MutationResult result_;  // Of the last change.

 private:
    uint64_t now_us_ = kStartUs;
};

}  // namespace sandstore
