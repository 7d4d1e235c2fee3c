// Leases: what is read stays readable though its file is replaced or removed, and what is uploaded has no name before
// it is complete.
#include <functional>

#include "actors/fs/file_state_format.h"
#include "actors/fs/file_state_restorer.h"
#include "actors/fs/file_state_writer.h"
#include "actors/fs/limits.h"
#include "replica.h"

namespace sandstore {
namespace {

class LeasesTest : public testing::Test {
 protected:
    void SetUp() override {
        state_.configure(test_settings());
        session_ = apply(open_session()).session_id();
    }

    pb::MutationResult apply(pb::Mutation mutation) {
        mutation.set_session_id(session_);
        if (session_ != 0) mutation.set_sequence(++sequence_);
        mutation.set_oldest_needed(sequence_);
        pb::Command command;
        command.set_time_us(now_us_);
        *command.mutable_mutation() = std::move(mutation);
        pb::MutationResult result;
        EXPECT_TRUE(result.ParseFromString(state_.apply(state_.applied_index() + 1, command.SerializeAsString())));
        state_.files().check_invariants();
        code_ = result.status().code();
        return result;
    }

    // A file of one chunk, in one step.
    pb::MutationResult put(std::string_view path, uint64_t chunk) {
        pb::Mutation mutation;
        *mutation.mutable_commit_extents() = commit(path, 0, {extent(0, 100, chunk, 0, 100)});
        mutation.mutable_commit_extents()->set_truncate(true);
        mutation.mutable_commit_extents()->set_create(true);
        return apply(mutation);
    }
    void remove(std::string_view path, uint64_t inode = 0) {
        pb::Mutation mutation;
        *mutation.mutable_remove_file()->mutable_at() = at(path);
        mutation.mutable_remove_file()->set_inode(inode);
        (void)apply(mutation);
    }
    void truncate(std::string_view path, uint64_t size) {
        pb::Mutation mutation;
        *mutation.mutable_set_attributes()->mutable_at() = at(path);
        mutation.mutable_set_attributes()->set_size(size);
        (void)apply(mutation);
    }
    pb::MutationResult read_lease(std::string_view path) {
        pb::Mutation mutation;
        *mutation.mutable_lease_file()->mutable_at() = at(path);
        return apply(mutation);
    }
    pb::MutationResult begin_upload(uint64_t chunk = 0) {
        pb::Mutation mutation;
        mutation.mutable_lease_file()->set_upload(true);
        const pb::MutationResult upload = apply(mutation);
        if (chunk == 0) return upload;
        mutation.Clear();
        *mutation.mutable_commit_extents() = commit("", 0, {extent(0, 100, chunk, 0, 100)});
        mutation.mutable_commit_extents()->mutable_at()->set_inode(upload.attributes().inode());
        EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK);
        return upload;
    }
    pb::MutationResult publish(const pb::MutationResult& upload, std::string_view path) {
        pb::Mutation mutation;
        mutation.mutable_publish_file()->set_lease_id(upload.lease_id());
        *mutation.mutable_publish_file()->mutable_at() = at(path);
        return apply(mutation);
    }
    void prolong(uint64_t lease) {
        pb::Mutation mutation;
        mutation.mutable_lease_file()->set_lease_id(lease);
        (void)apply(mutation);
    }
    void end(uint64_t lease) {
        pb::Mutation mutation;
        mutation.mutable_end_lease()->set_lease_id(lease);
        (void)apply(mutation);
    }
    void something() {
        pb::Mutation mutation;
        mutation.mutable_make_directory()->set_parents(true);
        *mutation.mutable_make_directory()->mutable_at() = at("/any");
        (void)apply(mutation);
    }

    pb::QueryResult ask(const pb::Query& query) {
        pb::QueryResult result;
        state_.answer(query, &result);
        return result;
    }
    pb::QueryResult read_on(const pb::MutationResult& lease) {
        pb::Query query;
        query.mutable_read_extents()->mutable_at()->set_inode(lease.attributes().inode());
        query.mutable_read_extents()->set_content(lease.content());
        query.mutable_read_extents()->set_length(1000);
        return ask(query);
    }
    // The chunk that the file's only extent is in; 0: there is no such file.
    uint64_t chunk_of(std::string_view path) {
        pb::Query query;
        *query.mutable_read_extents()->mutable_at() = at(path);
        query.mutable_read_extents()->set_length(1000);
        const pb::QueryResult result = ask(query);
        return result.extents_size() == 1 ? result.extents(0).chunk().id().number() : 0;
    }
    size_t chunks() { return state_.files().chunk_count(); }

    // The state as another replica has it after a snapshot.
    void through_a_snapshot() {
        FileStateWriter writer(state_);
        FileStateRestorer restorer(test_settings());
        while (!writer.done()) ASSERT_TRUE(restorer.read(writer.next_piece())) << restorer.problem();
        ASSERT_TRUE(restorer.finish(state_.applied_index())) << restorer.problem();
        EXPECT_EQ(restorer.state().hash(), state_.hash());
        std::swap(state_, restorer.state());
        state_.files().check_invariants();
    }

    FileState state_;
    uint64_t session_ = 0;
    uint64_t sequence_ = 0;
    uint64_t now_us_ = kStartUs;
    pb::StatusCode code_ = pb::STATUS_OK;
};

// --- Files that appear with their content ----------------------------------------------------------------------------

TEST_F(LeasesTest, a_commit_that_creates_makes_file_and_content_in_one_step) {
    const pb::MutationResult made = put("/f", 1);
    EXPECT_EQ(made.status().code(), pb::STATUS_OK);
    EXPECT_EQ(made.attributes().size(), 100u);
    EXPECT_EQ(made.attributes().mode(), kFileModeDefault);
    EXPECT_EQ(chunk_of("/f"), 1u);
    EXPECT_EQ(put("/f", 2).attributes().inode(), made.attributes().inode());
    EXPECT_EQ(chunk_of("/f"), 2u);
}

TEST_F(LeasesTest, a_commit_that_is_refused_makes_no_file) {
    pb::Mutation mutation;
    pb::CommitExtents& request = *mutation.mutable_commit_extents();
    request = commit("/f", 0, {extent(0, 100, 1, 0, 100)});
    request.set_create(true);
    request.mutable_extents(0)->mutable_chunk()->set_allocated_at_us(kStartUs - 2 * kWindowUs);
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_ESTALE);
    EXPECT_EQ(state_.files().inode_count(), 1u);
    request = commit("/missing/f", 0, {extent(0, 100, 1, 0, 100)});
    request.set_create(true);
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_ENOENT);
    request = commit("/f/", 0, {});
    request.set_create(true);
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_EISDIR);
    request = commit("/", 0, {});
    request.set_create(true);
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_EISDIR);
    request = commit("/f", 0, {});
    request.set_mode(0600);
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_EINVAL) << "a mode, and the file may not be made";
    EXPECT_EQ(state_.files().inode_count(), 1u);
}

TEST_F(LeasesTest, a_commit_gives_the_mode_that_it_names) {
    pb::Mutation mutation;
    pb::CommitExtents& request = *mutation.mutable_commit_extents();
    request = commit("/f", 0, {});
    request.set_create(true);
    request.set_mode(0640);
    EXPECT_EQ(apply(mutation).attributes().mode(), 0640u);
    request = commit("/f", 0, {extent(0, 100, 1, 0, 100)});
    request.set_create(true);
    EXPECT_EQ(apply(mutation).attributes().mode(), 0640u) << "as it was";
    request.set_mode(0600);
    EXPECT_EQ(apply(mutation).attributes().mode(), 0600u);
}

TEST_F(LeasesTest, a_file_is_not_removed_when_another_one_has_its_name) {
    const uint64_t mine = put("/f", 1).attributes().inode();
    remove("/f");
    put("/f", 2);
    remove("/f", mine);
    EXPECT_EQ(code_, pb::STATUS_ESTALE);
    EXPECT_EQ(chunk_of("/f"), 2u);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

TEST_F(LeasesTest, a_leased_content_is_read_to_its_end_though_its_file_is_replaced_emptied_or_removed) {
    const std::vector<std::function<void()>> changes = {[this] { put("/f", 2); }, [this] { remove("/f"); },
                                                        [this] { truncate("/f", 0); },
                                                        [this] { publish(begin_upload(3), "/f"); }};
    for (const auto& change : changes) {
        put("/f", 1);
        const pb::MutationResult lease = read_lease("/f");
        EXPECT_EQ(lease.attributes().size(), 100u);
        change();
        through_a_snapshot();
        const pb::QueryResult old = read_on(lease);
        ASSERT_EQ(old.status().code(), pb::STATUS_OK);
        EXPECT_EQ(old.attributes().size(), 100u);
        ASSERT_EQ(old.extents_size(), 1);
        EXPECT_EQ(old.extents(0).chunk().id().number(), 1u);
        const size_t before = chunks();
        end(lease.lease_id());
        EXPECT_EQ(chunks(), before - 1) << "what nobody reads any more is given back";
        EXPECT_EQ(read_on(lease).status().code(), pb::STATUS_ESTALE);
    }
}

TEST_F(LeasesTest, without_a_lease_the_rest_of_a_replaced_file_is_refused_and_never_the_new_one_s) {
    put("/f", 1);
    pb::Query query;
    *query.mutable_read_extents()->mutable_at() = at("/f");
    const pb::QueryResult first = ask(query);
    pb::MutationResult as_read;
    as_read.set_content(first.content());
    *as_read.mutable_attributes() = first.attributes();
    EXPECT_EQ(read_on(as_read).status().code(), pb::STATUS_OK);
    put("/f", 2);
    EXPECT_EQ(read_on(as_read).status().code(), pb::STATUS_ESTALE);
}

TEST_F(LeasesTest, several_readers_keep_a_content_until_the_last_one_ends) {
    put("/f", 1);
    const pb::MutationResult first = read_lease("/f");
    const pb::MutationResult second = read_lease("/f");
    put("/f", 2);
    const pb::MutationResult third = read_lease("/f");
    put("/f", 3);
    EXPECT_EQ(chunks(), 3u);
    end(first.lease_id());
    EXPECT_EQ(read_on(second).status().code(), pb::STATUS_OK);
    end(second.lease_id());
    EXPECT_EQ(chunks(), 2u);
    EXPECT_EQ(read_on(third).extents(0).chunk().id().number(), 2u);
    end(third.lease_id());
    EXPECT_EQ(chunks(), 1u);
    EXPECT_EQ(chunk_of("/f"), 3u);
}

TEST_F(LeasesTest, a_file_that_holds_nothing_needs_no_lease) {
    pb::Mutation mutation;
    *mutation.mutable_create_file()->mutable_at() = at("/f");
    apply(mutation);
    truncate("/f", 1'000'000);
    const pb::MutationResult lease = read_lease("/f");
    EXPECT_EQ(lease.lease_id(), 0u);
    EXPECT_EQ(lease.content(), 0u);
    EXPECT_EQ(lease.attributes().size(), 1'000'000u);
    EXPECT_EQ(state_.files().lease_count(), 0u);
}

TEST_F(LeasesTest, a_lease_changes_nothing_for_who_writes_into_the_file) {
    put("/f", 1);
    const pb::MutationResult lease = read_lease("/f");
    truncate("/f", 40);
    const pb::QueryResult now = read_on(lease);
    EXPECT_EQ(now.attributes().size(), 40u);
    EXPECT_EQ(now.extents(0).length(), 40u);
}

// --- How leases end --------------------------------------------------------------------------------------------------

TEST_F(LeasesTest, a_lease_ends_after_a_minute_by_the_cluster_s_clock_unless_it_is_prolonged) {
    put("/f", 1);
    const pb::MutationResult lease = read_lease("/f");
    put("/f", 2);
    now_us_ += kLeaseUs - 1;
    prolong(lease.lease_id());
    EXPECT_EQ(code_, pb::STATUS_OK);
    now_us_ += kLeaseUs - 1;
    something();
    EXPECT_EQ(chunks(), 2u);
    through_a_snapshot();
    now_us_ += 1;
    something();
    EXPECT_EQ(chunks(), 1u);
    prolong(lease.lease_id());
    EXPECT_EQ(code_, pb::STATUS_ENOENT);
    end(lease.lease_id());
    EXPECT_EQ(code_, pb::STATUS_ENOENT);
}

TEST_F(LeasesTest, leases_end_with_the_session_that_took_them) {
    put("/f", 1);
    const pb::MutationResult lease = read_lease("/f");
    begin_upload(2);
    put("/f", 3);
    EXPECT_EQ(chunks(), 3u);
    pb::Mutation close;
    close.mutable_close_session();
    (void)apply(close);
    EXPECT_EQ(state_.files().lease_count(), 0u);
    EXPECT_EQ(chunks(), 1u);
    EXPECT_EQ(state_.files().inode_count(), 2u) << "the root and the file";
    EXPECT_EQ(read_on(lease).status().code(), pb::STATUS_ESTALE);
}

TEST_F(LeasesTest, one_command_ends_a_bounded_number_and_the_others_count_as_ended) {
    std::vector<pb::MutationResult> uploads;
    for (size_t i = 0; i < kLeasesEndedPerCommand + 5; ++i) uploads.push_back(begin_upload());
    now_us_ += kLeaseUs;
    publish(uploads.back(), "/f");
    EXPECT_EQ(code_, pb::STATUS_ENOENT);
    EXPECT_EQ(state_.files().lease_count(), 5u);
    something();
    EXPECT_EQ(state_.files().lease_count(), 0u);
    EXPECT_EQ(state_.files().inode_count(), 2u) << "the root and a directory";
}

TEST_F(LeasesTest, there_is_a_bound_on_leases) {
    for (size_t i = 0; i < kLeasesMax; ++i) begin_upload();
    EXPECT_EQ(code_, pb::STATUS_OK);
    begin_upload();
    EXPECT_EQ(code_, pb::STATUS_EBUSY);
    put("/f", 1);
    read_lease("/f");
    EXPECT_EQ(code_, pb::STATUS_EBUSY);
}

// --- Uploading -------------------------------------------------------------------------------------------------------

TEST_F(LeasesTest, an_upload_has_no_name_until_it_is_published_and_replaces_in_one_step) {
    put("/f", 1);
    pb::SetAttributes attributes;
    *attributes.mutable_at() = at("/f");
    attributes.set_mode(0600);
    attributes.set_uid(77);
    pb::Mutation mutation;
    *mutation.mutable_set_attributes() = attributes;
    apply(mutation);
    const pb::MutationResult upload = begin_upload(2);
    through_a_snapshot();
    EXPECT_EQ(chunk_of("/f"), 1u);
    pb::Query list;
    *list.mutable_list_directory()->mutable_at() = at("/");
    EXPECT_EQ(ask(list).entries_size(), 1);
    const pb::MutationResult published = publish(upload, "/f");
    EXPECT_EQ(published.attributes().inode(), upload.attributes().inode());
    EXPECT_EQ(published.attributes().links(), 1u);
    EXPECT_EQ(published.attributes().mode(), 0600u) << "that of the file replaced";
    EXPECT_EQ(published.attributes().uid(), 77u);
    EXPECT_EQ(chunk_of("/f"), 2u);
    EXPECT_EQ(chunks(), 1u);
    EXPECT_EQ(ask(list).entries_size(), 1);
    EXPECT_EQ(state_.files().lease_count(), 0u);
    now_us_ += 10 * kLeaseUs;
    something();
    EXPECT_EQ(chunk_of("/f"), 2u);
}

TEST_F(LeasesTest, an_upload_that_ends_leaves_nothing) {
    const size_t inodes = state_.files().inode_count();
    const pb::MutationResult upload = begin_upload(1);
    end(upload.lease_id());
    EXPECT_EQ(state_.files().inode_count(), inodes);
    EXPECT_EQ(chunks(), 0u);
    publish(upload, "/f");
    EXPECT_EQ(code_, pb::STATUS_ENOENT);
}

TEST_F(LeasesTest, an_upload_is_not_published_where_there_can_be_no_file) {
    pb::Mutation mutation;
    *mutation.mutable_make_directory()->mutable_at() = at("/d");
    apply(mutation);
    const pb::MutationResult upload = begin_upload(1);
    for (const auto& [path, code] :
         std::vector<std::pair<std::string, pb::StatusCode>>{{"/d", pb::STATUS_EISDIR},
                                                             {"/", pb::STATUS_EISDIR},
                                                             {"/x/", pb::STATUS_EISDIR},
                                                             {"/missing/f", pb::STATUS_ENOENT}}) {
        publish(upload, path);
        EXPECT_EQ(code_, code) << path;
    }
    mutation.Clear();
    mutation.mutable_publish_file()->set_lease_id(upload.lease_id());
    mutation.mutable_publish_file()->mutable_at()->set_inode(upload.attributes().inode());
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_EINVAL) << "itself";
    put("/g", 2);
    mutation.mutable_publish_file()->set_lease_id(read_lease("/g").lease_id());
    *mutation.mutable_publish_file()->mutable_at() = at("/h");
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_ENOENT) << "a lease of a reader";
    publish(upload, "/d/f");
    EXPECT_EQ(chunk_of("/d/f"), 1u);
}

TEST_F(LeasesTest, a_state_without_leases_has_the_hash_and_the_bytes_that_it_had_before_there_were_any) {
    put("/f", 1);
    const uint64_t hash = state_.files().hash();
    const pb::MutationResult lease = read_lease("/f");
    FileStateWriter leased(state_);
    EXPECT_EQ(leased.next_piece()[1], static_cast<char>(kStateFormatVersionWithHolds));
    end(lease.lease_id());
    FileStateWriter again(state_);
    EXPECT_EQ(again.next_piece()[1], static_cast<char>(kStateFormatVersion));
    EXPECT_EQ(state_.files().hash(), hash);
}

}  // namespace
}  // namespace sandstore
