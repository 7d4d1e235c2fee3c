// What a file's bytes are made of: commits of extents, sizes, holes, and the chunks behind them.
#include <functional>

#include "actors/fs/extent_digest.h"
#include "actors/fs/limits.h"
#include "actors/fs/validate.h"
#include "fs_fixture.h"

namespace sandstore {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

struct Seen {
    uint64_t offset;
    uint64_t length;
    uint64_t chunk;
    uint64_t chunk_offset;
    bool operator==(const Seen&) const = default;
};

std::vector<Seen> seen(const pb::QueryResult& result) {
    std::vector<Seen> extents;
    for (const pb::Extent& extent : result.extents()) {
        extents.push_back({extent.offset(), extent.length(), extent.chunk().id().number(), extent.chunk_offset()});
    }
    return extents;
}

using Extents = std::vector<Seen>;

class FileContentTest : public NamespaceTest {
 protected:
    FileContentTest() { EXPECT_EQ(create("/f"), pb::STATUS_OK); }

    Extents content() const { return seen(read("/f", 0, UINT64_MAX)); }
    pb::StatusCode write(uint64_t offset, uint64_t length, uint64_t chunk) {
        return apply(commit("/f", offset, {extent(0, length, chunk)}));
    }
    pb::StatusCode append(uint64_t length, uint64_t chunk) {
        pb::CommitExtents request = commit("/f", 0, {extent(0, length, chunk)});
        request.set_append(true);
        return apply(request);
    }
    pb::StatusCode replace(std::initializer_list<pb::Extent> extents) {
        pb::CommitExtents request = commit("/f", 0, extents);
        request.set_truncate(true);
        return apply(request);
    }
    // Through the checks that come before the namespace, as every command goes.
    pb::StatusCode judge(const pb::CommitExtents& request) {
        pb::Mutation mutation;
        *mutation.mutable_commit_extents() = request;
        const Outcome outcome = check_operation(mutation);
        return outcome.ok() ? apply(request) : outcome.code;
    }
};

// --- Where bytes land ------------------------------------------------------------------------------------------------

TEST_F(FileContentTest, a_commit_shows_size_and_times) {
    ASSERT_EQ(write(0, 5 * kMiB, 1), pb::STATUS_OK);
    EXPECT_EQ(stat("/f").size(), 5 * kMiB);
    EXPECT_EQ(stat("/f").stored_bytes(), 5 * kMiB);
    EXPECT_EQ(stat("/f").modify_time_us(), now_us());
    EXPECT_EQ(stat("/f").change_time_us(), now_us());
    EXPECT_EQ(result_.attributes().size(), 5 * kMiB);
    EXPECT_EQ(content(), (Extents{{0, 5 * kMiB, 1, 0}}));
}

TEST_F(FileContentTest, a_sparse_write_lands_at_its_offset) {
    const uint64_t far = uint64_t{3} << 30;
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(write(far, 100, 2), pb::STATUS_OK);
    EXPECT_EQ(content(), (Extents{{0, 100, 1, 0}, {far, 100, 2, 0}}));
    EXPECT_EQ(stat("/f").size(), far + 100);
    EXPECT_EQ(stat("/f").stored_bytes(), 200u);
    EXPECT_TRUE(seen(read("/f", 100, far - 100)).empty()) << "the hole has extents";
}

TEST_F(FileContentTest, an_overwrite_in_the_middle_leaves_the_rest) {
    ASSERT_EQ(write(0, 8 * kMiB, 1), pb::STATUS_OK);
    ASSERT_EQ(write(2 * kMiB, kMiB, 2), pb::STATUS_OK);
    EXPECT_EQ(content(), (Extents{{0, 2 * kMiB, 1, 0}, {2 * kMiB, kMiB, 2, 0}, {3 * kMiB, 5 * kMiB, 1, 3 * kMiB}}));
    EXPECT_EQ(stat("/f").size(), 8 * kMiB);
    EXPECT_EQ(files_.chunk_count(), 2u);
}

TEST_F(FileContentTest, a_read_gets_only_its_range) {
    ASSERT_EQ(write(0, 8 * kMiB, 1), pb::STATUS_OK);
    const pb::QueryResult result = read("/f", 3 * kMiB, 4096);
    EXPECT_EQ(seen(result), (Extents{{3 * kMiB, 4096, 1, 3 * kMiB}}));
    EXPECT_EQ(result.extents(0).chunk_length(), 8 * kMiB);
    EXPECT_EQ(result.extents(0).chunk().allocated_at_us(), kStartUs);
    EXPECT_EQ(result.attributes().size(), 8 * kMiB);
    EXPECT_TRUE(seen(read("/f", 8 * kMiB, 4096)).empty());
    EXPECT_TRUE(seen(read("/f", UINT64_MAX, UINT64_MAX)).empty());
}

TEST_F(FileContentTest, extents_of_one_commit_come_in_any_order_and_leave_gaps) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(judge(commit("/f", 10, {extent(50, 10, 3), extent(0, 10, 2)})), pb::STATUS_OK);
    EXPECT_EQ(content(), (Extents{{0, 10, 1, 0}, {10, 10, 2, 0}, {20, 40, 1, 20}, {60, 10, 3, 0}, {70, 30, 1, 70}}));
}

TEST_F(FileContentTest, an_append_goes_where_the_file_ends_when_it_is_applied) {
    ASSERT_EQ(append(100, 1), pb::STATUS_OK);
    EXPECT_EQ(result_.offset(), 0u);
    ASSERT_EQ(append(50, 2), pb::STATUS_OK);
    EXPECT_EQ(result_.offset(), 100u);
    ASSERT_EQ(truncate("/f", 500), pb::STATUS_OK);
    ASSERT_EQ(append(1, 3), pb::STATUS_OK);
    EXPECT_EQ(result_.offset(), 500u);
    EXPECT_EQ(content(), (Extents{{0, 100, 1, 0}, {100, 50, 2, 0}, {500, 1, 3, 0}}));
}

TEST_F(FileContentTest, a_truncating_commit_replaces_everything_at_once) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(replace({extent(0, 10, 2), extent(10, 10, 3)}), pb::STATUS_OK);
    EXPECT_EQ(content(), (Extents{{0, 10, 2, 0}, {10, 10, 3, 0}}));
    EXPECT_EQ(stat("/f").size(), 20u);
    ASSERT_EQ(replace({}), pb::STATUS_OK);
    EXPECT_EQ(stat("/f").size(), 0u);
    EXPECT_EQ(content(), Extents());
    files_.reclaim(100);
    EXPECT_EQ(files_.chunk_count(), 0u);
}

TEST_F(FileContentTest, a_truncating_commit_may_use_a_chunk_of_the_old_content) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(replace({extent(0, 50, 1, 0, 100)}), pb::STATUS_OK);
    files_.reclaim(100);
    files_.check_invariants();
    EXPECT_EQ(content(), (Extents{{0, 50, 1, 0}}));
    EXPECT_EQ(files_.chunk_count(), 1u);
}

TEST_F(FileContentTest, truncating_cuts_and_grows) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(truncate("/f", 30), pb::STATUS_OK);
    EXPECT_EQ(content(), (Extents{{0, 30, 1, 0}}));
    EXPECT_EQ(stat("/f").modify_time_us(), now_us());
    ASSERT_EQ(truncate("/f", 100), pb::STATUS_OK);
    EXPECT_EQ(content(), (Extents{{0, 30, 1, 0}})) << "what was cut off must not come back";
    EXPECT_EQ(stat("/f").size(), 100u);
    EXPECT_EQ(stat("/f").stored_bytes(), 30u);
    ASSERT_EQ(truncate("/f", 0), pb::STATUS_OK);
    EXPECT_EQ(content(), Extents());
}

TEST_F(FileContentTest, an_empty_commit_changes_nothing) {
    const uint64_t hash = files_.hash();
    EXPECT_EQ(apply(commit("/f", 0, {})), pb::STATUS_OK);
    EXPECT_EQ(files_.hash(), hash);
}

TEST_F(FileContentTest, a_range_in_many_pieces_is_read_in_several_answers) {
    for (uint64_t first = 0; first < 2 * kExtentsPerAnswerMax; first += 1024) {
        pb::CommitExtents request = commit("/f", 0, {});
        for (uint64_t i = first; i < first + 1024; ++i) *request.add_extents() = extent(2 * i, 1, 1 + i);
        ASSERT_EQ(apply(request), pb::STATUS_OK);
    }
    const pb::QueryResult first = read("/f", 0, UINT64_MAX);
    EXPECT_EQ(static_cast<size_t>(first.extents_size()), kExtentsPerAnswerMax);
    EXPECT_TRUE(first.more());
    const pb::Extent& last = first.extents(first.extents_size() - 1);
    const pb::QueryResult second = read("/f", last.offset() + last.length(), UINT64_MAX);
    EXPECT_EQ(static_cast<size_t>(second.extents_size()), kExtentsPerAnswerMax);
    EXPECT_FALSE(second.more());
    EXPECT_EQ(second.extents(0).offset(), 2 * kExtentsPerAnswerMax);
}

// --- Cost ------------------------------------------------------------------------------------------------------------

TEST_F(FileContentTest, a_commit_does_not_grow_with_the_file) {
    const auto command_bytes = [&](uint64_t offset, uint64_t chunk) {
        pb::Command command;
        command.set_time_us(kStartUs);
        *command.mutable_mutation()->mutable_commit_extents() = commit("/f", offset, {extent(0, kMiB, chunk)});
        return command.ByteSizeLong();
    };
    const size_t small = command_bytes(0, 1);
    for (uint64_t i = 0; i < 2000; ++i) {
        const pb::CommitExtents request = commit("/f", i * kMiB, {extent(0, kMiB, 1 + i)});
        ASSERT_TRUE(files_.commit_extents(request, next_moment(), fresh_result()).ok());
        ASSERT_LT(result_.ByteSizeLong(), 128u) << "the result grows with the file";
    }
    // Offsets and numbers are longer by a few bytes; 2,000 extents would be 100 KiB.
    EXPECT_LT(command_bytes(2000 * kMiB, 2001), small + 16);
    EXPECT_EQ(content().size(), 2000u);
}

TEST_F(FileContentTest, chunks_are_released_in_portions) {
    for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(write(i * 100, 100, 1 + i), pb::STATUS_OK);
    ASSERT_EQ(remove("/f"), pb::STATUS_OK);
    EXPECT_EQ(files_.chunk_count(), 10u);
    files_.reclaim(4);
    files_.check_invariants();
    EXPECT_EQ(files_.chunk_count(), 6u);
    EXPECT_TRUE(files_.reclaiming());
    files_.reclaim(100);
    files_.check_invariants();
    EXPECT_EQ(files_.chunk_count(), 0u);
    EXPECT_FALSE(files_.reclaiming());
}

// Whatever is done to a file in very many pieces costs a few steps; the rest is done by the commands after it.
TEST_F(FileContentTest, a_file_in_many_pieces_is_cut_overwritten_and_removed_in_few_steps) {
    const std::vector<std::function<pb::StatusCode()>> blows = {
        [this] { return truncate("/f", 1); },
        [this] { return truncate("/f", 30'001); },
        [this] { return apply(commit("/f", 15, {extent(0, 60'000, 100'000)})); },
        [this] { return remove("/f"); },
    };
    for (const auto& blow : blows) {
        Namespace pristine;
        std::swap(files_, pristine);
        create("/f");
        for (uint64_t first = 0; first < 8 * 1024; first += 1024) {
            pb::CommitExtents request = commit("/f", 0, {});
            for (uint64_t i = first; i < first + 1024; ++i) *request.add_extents() = extent(10 * i, 10, 1 + i);
            ASSERT_TRUE(files_.commit_extents(request, next_moment(), fresh_result()).ok());
        }
        uint64_t moved = files_.extents_moved();
        ASSERT_EQ(blow(), pb::STATUS_OK);
        EXPECT_LE(files_.extents_moved() - moved, 10u);
        EXPECT_TRUE(files_.reclaiming());
        EXPECT_GT(files_.chunk_count(), files_.extents().size()) << "visible at once, reclaimed later";
        while (files_.reclaiming()) {
            moved = files_.extents_moved();
            files_.reclaim(1000);
            EXPECT_LE(files_.extents_moved() - moved, 1000u);
            files_.check_invariants();
        }
        const size_t used = exists("/f") ? content().size() : 0;
        EXPECT_LE(files_.chunk_count(), used);
    }
}

// --- Putting extents together ----------------------------------------------------------------------------------------

pb::ReplaceExtents replacement(const pb::QueryResult& read, uint64_t chunk) {
    ExtentDigest digest;
    for (const pb::Extent& old : read.extents()) {
        digest.add({old.offset(), old.length(), key_of(old.chunk().id()), old.chunk_offset()});
    }
    pb::ReplaceExtents request;
    *request.mutable_at() = at("/f");
    request.set_digest(digest.value());
    const pb::Extent& last = read.extents(read.extents_size() - 1);
    const uint64_t begin = read.extents(0).offset();
    *request.mutable_extent() = extent(begin, last.offset() + last.length() - begin, chunk);
    return request;
}

TEST_F(FileContentTest, one_chunk_takes_the_place_of_many_and_nothing_else_changes) {
    for (uint64_t i = 0; i < 10; ++i) apply(commit("/f", 10 * i, {extent(0, 10, 1 + i)}));
    const pb::Attributes before = stat("/f");
    EXPECT_EQ(done(files_.replace_extents(replacement(read("/f", 20, 50), 99), next_moment())), pb::STATUS_OK);
    EXPECT_EQ(content().size(), 6u);
    EXPECT_EQ(stat("/f").SerializeAsString(), before.SerializeAsString());
    files_.reclaim(10);
    EXPECT_EQ(files_.chunk_count(), 6u);
}

TEST_F(FileContentTest, extents_that_have_changed_are_not_replaced) {
    for (uint64_t i = 0; i < 10; ++i) apply(commit("/f", 10 * i, {extent(0, 10, 1 + i)}));
    const pb::ReplaceExtents request = replacement(read("/f", 0, 100), 99);
    apply(commit("/f", 55, {extent(0, 1, 50)}));
    const uint64_t hash = files_.hash();
    EXPECT_EQ(done(files_.replace_extents(request, next_moment())), pb::STATUS_ESTALE);
    truncate("/f", 50);
    EXPECT_EQ(done(files_.replace_extents(request, next_moment())), pb::STATUS_ESTALE);
    pb::ReplaceExtents of_nothing = replacement(read("/f", 0, 50), 99);
    of_nothing.set_digest(ExtentDigest().value());
    of_nothing.mutable_extent()->set_offset(1000);
    EXPECT_EQ(done(files_.replace_extents(of_nothing, next_moment())), pb::STATUS_ESTALE);
    EXPECT_NE(files_.hash(), hash);
    EXPECT_EQ(content().size(), 5u);
}

TEST_F(FileContentTest, a_writer_is_told_now_and_then_that_the_file_is_crowded) {
    uint64_t told = 0;
    for (uint64_t i = 0; i < 2 * kCrowdedExtents; ++i) {
        apply(commit("/f", 10 * i, {extent(0, 10, 1 + i)}));
        if (!result_.has_crowded()) continue;
        ++told;
        EXPECT_GE(i + 1, kCrowdedExtents);
        EXPECT_EQ(result_.crowded().offset(), 0u);
        EXPECT_EQ(result_.crowded().length(), kStripeBytes);
    }
    EXPECT_GT(told, 0u);
    EXPECT_LE(told, 2 * kCrowdedExtents / kCrowdedReminder + 1);
    apply(commit("/f", kStripeBytes, {extent(0, 10, 5000)}));
    EXPECT_FALSE(result_.has_crowded()) << "another stripe";
}

// --- Chunks ----------------------------------------------------------------------------------------------------------

TEST_F(FileContentTest, unlink_releases_chunks) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    EXPECT_EQ(chunks_of("node-2").chunks_size(), 1);
    files_.set_index(1);
    ASSERT_EQ(remove("/f"), pb::STATUS_OK);
    files_.reclaim(100);
    EXPECT_EQ(files_.chunk_count(), 0u);
    EXPECT_EQ(chunks_of("node-2").chunks_size(), 1) << "somebody may be in the middle of reading it";
    files_.set_clock(now_us() + kReleasedKeptUs, kWindowUs);
    files_.reclaim(100);
    EXPECT_EQ(chunks_of("node-2").chunks_size(), 0);
}

TEST_F(FileContentTest, every_way_to_lose_content_releases_its_chunks) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(write(0, 100, 2), pb::STATUS_OK);  // Overwritten whole.
    EXPECT_EQ(files_.chunk_count(), 1u);
    ASSERT_EQ(truncate("/f", 0), pb::STATUS_OK);
    files_.reclaim(100);
    EXPECT_EQ(files_.chunk_count(), 0u);
    ASSERT_EQ(write(0, 100, 3), pb::STATUS_OK);
    ASSERT_EQ(create("/g"), pb::STATUS_OK);
    ASSERT_EQ(rename("/g", "/f"), pb::STATUS_OK);  // Replaced by another file.
    files_.reclaim(100);
    EXPECT_EQ(files_.chunk_count(), 0u);
}

TEST_F(FileContentTest, a_chunk_stays_while_any_extent_uses_it) {
    ASSERT_EQ(create("/g"), pb::STATUS_OK);
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(apply(commit("/g", 0, {extent(0, 40, 1, 30, 100)})), pb::STATUS_OK);
    ASSERT_EQ(apply(commit("/f", 40, {extent(0, 20, 2)})), pb::STATUS_OK);  // Two extents of chunk 1 are left in /f.
    ASSERT_EQ(remove("/f"), pb::STATUS_OK);
    files_.reclaim(100);
    EXPECT_EQ(files_.chunk_count(), 1u);
    ASSERT_EQ(remove("/g"), pb::STATUS_OK);
    files_.reclaim(100);
    EXPECT_EQ(files_.chunk_count(), 0u);
}

TEST_F(FileContentTest, an_audit_pages_through_the_chunks_of_a_node) {
    for (uint64_t i = 1; i <= 7; ++i) {
        pb::Extent one = extent(0, 10, i);
        if (i % 2 == 0) one.mutable_chunk()->set_replicas(2, "node-4");
        ASSERT_EQ(apply(commit("/f", i * 10, {one})), pb::STATUS_OK);
    }
    const pb::QueryResult first = chunks_of("node-3", 0, 2);
    ASSERT_EQ(first.chunks_size(), 2);
    EXPECT_EQ(first.chunks(0).id().number(), 1u);
    EXPECT_EQ(first.chunks(1).id().number(), 3u);
    EXPECT_EQ(first.chunks(0).allocated_at_us(), kStartUs);
    EXPECT_EQ(first.chunks(0).replicas_size(), 3);
    EXPECT_TRUE(first.more());
    const pb::QueryResult rest = chunks_of("node-3", first.last_chunk().number());
    ASSERT_EQ(rest.chunks_size(), 2);
    EXPECT_EQ(rest.chunks(1).id().number(), 7u);
    EXPECT_FALSE(rest.more());
    EXPECT_EQ(chunks_of("node-4").chunks_size(), 3);
    EXPECT_EQ(chunks_of("node-9").chunks_size(), 0);
    EXPECT_EQ(chunks_of("node-9").last_chunk().number(), 7u);
}

TEST_F(FileContentTest, the_file_system_is_summed_up) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(write(1000, 100, 2), pb::STATUS_OK);
    ASSERT_EQ(write(50, 100, 3), pb::STATUS_OK);
    pb::QueryResult result;
    files_.stat_file_system(&result);
    EXPECT_EQ(result.inode_count(), 2u);
    EXPECT_EQ(result.file_bytes(), 250u);
    EXPECT_EQ(result.chunk_count(), 3u);
}

// --- What is refused -------------------------------------------------------------------------------------------------

TEST_F(FileContentTest, a_commit_needs_a_file) {
    ASSERT_EQ(mkdir("/d"), pb::STATUS_OK);
    EXPECT_EQ(apply(commit("/d", 0, {extent(0, 1, 1)})), pb::STATUS_EISDIR);
    EXPECT_EQ(apply(commit("/missing", 0, {extent(0, 1, 1)})), pb::STATUS_ENOENT);
    EXPECT_EQ(files_.chunk_count(), 0u);
}

TEST_F(FileContentTest, malformed_extents_are_refused) {
    EXPECT_EQ(judge(commit("/f", 0, {extent(0, 0, 1)})), pb::STATUS_EINVAL);
    EXPECT_EQ(judge(commit("/f", 0, {extent(0, 10, 1, 5, 14)})), pb::STATUS_EINVAL);
    EXPECT_EQ(judge(commit("/f", 0, {extent(0, 10, 1, UINT64_MAX, 14)})), pb::STATUS_EINVAL);
    EXPECT_EQ(judge(commit("/f", 0, {extent(0, 10, 1), extent(9, 10, 2)})), pb::STATUS_EINVAL);
    EXPECT_EQ(judge(commit("/f", 0, {extent(0, 10, 1), extent(0, 10, 2)})), pb::STATUS_EINVAL);
    EXPECT_EQ(judge(commit("/f", 0, {extent(0, 10, 0)})), pb::STATUS_EINVAL);
    pb::Extent bad = extent(0, 10, 1);
    bad.mutable_chunk()->clear_replicas();
    EXPECT_EQ(judge(commit("/f", 0, {bad})), pb::STATUS_EINVAL);
    for (const char* node : {"", "~3", "@host:80", "node-1"}) {
        bad = extent(0, 10, 1);
        bad.mutable_chunk()->add_replicas(node);
        EXPECT_EQ(judge(commit("/f", 0, {bad})), pb::STATUS_EINVAL) << node;
    }
    pb::CommitExtents many = commit("/f", 0, {});
    for (int i = 0; i <= kExtentsPerCommandMax; ++i) *many.add_extents() = extent(static_cast<uint64_t>(i), 1, 1, 0, 1);
    EXPECT_EQ(judge(many), pb::STATUS_EINVAL);
    pb::CommitExtents append = commit("/f", 5, {extent(0, 1, 1)});
    append.set_append(true);
    EXPECT_EQ(judge(append), pb::STATUS_EINVAL);
    EXPECT_EQ(stat("/f").size(), 0u);
    EXPECT_EQ(files_.chunk_count(), 0u);
}

TEST_F(FileContentTest, a_file_ends_at_8_pebibytes) {
    EXPECT_EQ(judge(commit("/f", kFileBytesMax - 10, {extent(0, 10, 1)})), pb::STATUS_OK);
    EXPECT_EQ(judge(commit("/f", kFileBytesMax - 10, {extent(0, 11, 2)})), pb::STATUS_EFBIG);
    EXPECT_EQ(judge(commit("/f", UINT64_MAX, {extent(0, 11, 2)})), pb::STATUS_EFBIG);
    EXPECT_EQ(judge(commit("/f", 0, {extent(UINT64_MAX - 5, 11, 2)})), pb::STATUS_EFBIG);
    EXPECT_EQ(append(1, 2), pb::STATUS_EFBIG) << "the size at the moment of applying counts";
    pb::Mutation grow;
    grow.mutable_set_attributes()->set_size(kFileBytesMax + 1);
    EXPECT_EQ(check_operation(grow).code, pb::STATUS_EFBIG);
    EXPECT_EQ(files_.chunk_count(), 1u);
}

TEST_F(FileContentTest, a_chunk_placed_too_long_ago_is_stale) {
    pb::Extent old = extent(0, 10, 1);
    old.mutable_chunk()->set_allocated_at_us(now_us() - kWindowUs - 2'000'000);
    EXPECT_EQ(apply(commit("/f", 0, {old})), pb::STATUS_ESTALE);
    pb::Extent future = extent(0, 10, 1);
    future.mutable_chunk()->set_allocated_at_us(now_us() + 2 * kWindowUs);
    EXPECT_EQ(apply(commit("/f", 0, {future})), pb::STATUS_ESTALE);
    EXPECT_EQ(files_.chunk_count(), 0u);
    pb::Extent just_in_time = extent(0, 10, 1);
    just_in_time.mutable_chunk()->set_allocated_at_us(now_us() + 1'000'000 - kWindowUs);
    EXPECT_EQ(apply(commit("/f", 0, {just_in_time})), pb::STATUS_OK);
}

TEST_F(FileContentTest, a_chunk_in_use_never_grows_stale) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    Occasion much_later = next_moment();
    much_later.time_us = much_later.clock_us = now_us() + 10 * kWindowUs;
    EXPECT_TRUE(files_.commit_extents(commit("/f", 200, {extent(0, 50, 1, 50)}), much_later, fresh_result()).ok());
}

TEST_F(FileContentTest, a_known_chunk_must_be_described_as_it_is) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    const uint64_t hash = files_.hash();
    EXPECT_EQ(apply(commit("/f", 0, {extent(0, 10, 1, 0, 99)})), pb::STATUS_EINVAL);
    pb::Extent younger = extent(0, 10, 1, 0, 100);
    younger.mutable_chunk()->set_allocated_at_us(kStartUs + 1);
    EXPECT_EQ(apply(commit("/f", 0, {younger})), pb::STATUS_EINVAL);
    // Also within one command, and then nothing of it takes effect.
    EXPECT_EQ(apply(commit("/f", 0, {extent(0, 10, 5), extent(10, 10, 6, 0, 10), extent(20, 10, 6, 0, 12)})),
              pb::STATUS_EINVAL);
    EXPECT_EQ(files_.hash(), hash);
}

// --- Moving ----------------------------------------------------------------------------------------------------------

pb::MoveChunks::Move move_of(uint64_t number, std::vector<std::string> from, std::vector<std::string> to) {
    pb::MoveChunks::Move move;
    move.mutable_id()->set_term(1);
    move.mutable_id()->set_number(number);
    move.mutable_from()->Add(from.begin(), from.end());
    move.mutable_to()->Add(to.begin(), to.end());
    return move;
}

TEST_F(FileContentTest, a_chunk_moves_only_from_where_it_is) {
    ASSERT_EQ(write(0, 100, 1), pb::STATUS_OK);
    ASSERT_EQ(write(100, 100, 2), pb::STATUS_OK);
    pb::MoveChunks request;
    *request.add_moves() = move_of(1, {"node-1", "node-2", "node-3"}, {"node-2", "node-3", "node-4"});
    *request.add_moves() = move_of(2, {"node-1", "node-2", "node-9"}, {"node-4"});  // Somebody else was faster.
    *request.add_moves() = move_of(7, {"node-1", "node-2", "node-3"}, {"node-4"});  // Removed meanwhile.
    pb::MutationResult result;
    files_.move_chunks(request, &result);
    EXPECT_EQ(result.moved(), 1u);
    EXPECT_EQ(files_.hash(), files_.walk_hash());
    files_.check_invariants();
    EXPECT_EQ(chunks_of("node-1").chunks_size(), 1);
    ASSERT_EQ(chunks_of("node-4").chunks_size(), 1);
    EXPECT_EQ(chunks_of("node-4").chunks(0).id().number(), 1u);
    files_.move_chunks(request, &result);
    EXPECT_EQ(result.moved(), 0u) << "once more does nothing";
    // Whoever was told of the places before may still name the chunk.
    EXPECT_EQ(apply(commit("/f", 300, {extent(0, 10, 1, 0, 100)})), pb::STATUS_OK);
    EXPECT_EQ(chunks_of("node-1").chunks_size(), 1);
}

}  // namespace
}  // namespace sandstore
