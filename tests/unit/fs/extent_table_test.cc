// The extents of a file against a model that is too simple to be wrong: an array with the origin of each byte.
#include "actors/fs/extent_table.h"

#include <gtest/gtest.h>

#include <map>

#include "runtime/check.h"
#include "runtime/random.h"

namespace sandstore {
namespace {

FileExtent run(uint64_t offset, uint64_t length, uint64_t chunk, uint64_t chunk_offset = 0) {
    return {offset, length, {1, chunk}, chunk_offset};
}

using Changes = ExtentTable::Changes;

// The extents of one file, in a table where its neighbours have some too.
class ExtentMap {
 public:
    ExtentMap() {
        Changes changes;
        table_.overwrite(1, run(0, 1000, 77), &changes);
        table_.overwrite(5, run(0, 1000, 78), &changes);
    }
    void overwrite(const FileExtent& extent, Changes* changes) {
        table_.overwrite(content_, extent, changes);
        count(*changes);
    }
    void cut(uint64_t size, Changes* changes) {
        table_.cut(content_, size, changes);
        count(*changes);
    }
    template <typename Visit>
    void for_each_in(uint64_t offset, uint64_t length, Visit visit) const {
        table_.for_each_in(content_, offset, length, visit);
    }
    template <typename Visit>
    void for_each(Visit visit) const {
        for_each_in(0, UINT64_MAX, [&](const FileExtent& extent) {
            visit(extent);
            return true;
        });
    }
    bool empty() const { return table_.empty(content_); }
    size_t count() const { return table_.size() - 2; }
    uint64_t covered_bytes() const { return covered_bytes_; }
    uint64_t end() const { return table_.end(content_); }

 private:
    void count(const Changes& changes) {
        for (const FileExtent& added : changes.added) covered_bytes_ += added.length;
        for (const FileExtent& removed : changes.removed) covered_bytes_ -= removed.length;
        covered_bytes_ -= changes.cut_off.weight();
    }

    uint64_t content_ = 3;
    ExtentTable table_;
    uint64_t covered_bytes_ = 0;
};

std::vector<FileExtent> extents_of(const ExtentMap& map) {
    std::vector<FileExtent> extents;
    map.for_each([&](const FileExtent& extent) { extents.push_back(extent); });
    return extents;
}

std::vector<FileExtent> range_of(const ExtentMap& map, uint64_t offset, uint64_t length) {
    std::vector<FileExtent> extents;
    map.for_each_in(offset, length, [&](const FileExtent& extent) {
        extents.push_back(extent);
        return true;
    });
    return extents;
}

ExtentMap map_of(std::initializer_list<FileExtent> extents) {
    ExtentMap map;
    for (const FileExtent& extent : extents) {
        Changes changes;
        map.overwrite(extent, &changes);
    }
    return map;
}

using Extents = std::vector<FileExtent>;

TEST(ExtentMap, an_overwrite_in_the_middle_splits) {
    const ExtentMap map = map_of({run(0, 100, 1), run(40, 20, 2)});
    EXPECT_EQ(extents_of(map), (Extents{run(0, 40, 1), run(40, 20, 2), run(60, 40, 1, 60)}));
    EXPECT_EQ(map.covered_bytes(), 100u);
}

TEST(ExtentMap, an_overwrite_trims_both_sides_and_swallows_the_middle) {
    const ExtentMap map = map_of({run(0, 10, 1), run(10, 10, 2), run(20, 10, 3), run(5, 20, 4)});
    EXPECT_EQ(extents_of(map), (Extents{run(0, 5, 1), run(5, 20, 4), run(25, 5, 3, 5)}));
}

TEST(ExtentMap, a_sparse_write_lands_where_it_was_asked_for) {
    const uint64_t far = uint64_t{1} << 40;
    const ExtentMap map = map_of({run(0, 10, 1), run(far, 10, 2)});
    EXPECT_EQ(extents_of(map), (Extents{run(0, 10, 1), run(far, 10, 2)}));
    EXPECT_EQ(map.covered_bytes(), 20u);
    EXPECT_EQ(map.end(), far + 10);
    EXPECT_TRUE(range_of(map, 10, far - 10).empty());
}

TEST(ExtentMap, neighbours_in_one_chunk_become_one) {
    const ExtentMap map = map_of({run(0, 10, 1, 0), run(20, 10, 1, 20), run(10, 10, 1, 10)});
    EXPECT_EQ(extents_of(map), (Extents{run(0, 30, 1)}));
}

TEST(ExtentMap, neighbours_that_do_not_go_on_in_the_chunk_stay_apart) {
    EXPECT_EQ(map_of({run(0, 10, 1, 0), run(10, 10, 1, 11)}).count(), 2u);
    EXPECT_EQ(map_of({run(0, 10, 1, 0), run(10, 10, 2, 10)}).count(), 2u);
    EXPECT_EQ(map_of({run(0, 10, 1, 0), run(11, 10, 1, 11)}).count(), 2u);
}

TEST(ExtentMap, a_range_is_clipped_at_both_ends) {
    const ExtentMap map = map_of({run(0, 100, 1), run(200, 100, 2, 7)});
    EXPECT_EQ(range_of(map, 50, 200), (Extents{run(50, 50, 1, 50), run(200, 50, 2, 7)}));
    EXPECT_TRUE(range_of(map, 100, 100).empty());
    EXPECT_TRUE(range_of(map, 50, 0).empty());
    EXPECT_EQ(range_of(map, 250, UINT64_MAX), (Extents{run(250, 50, 2, 57)}));
}

Extents taken_from(ExtentTable::Runs runs) {
    Extents extents;
    while (!runs.empty()) extents.push_back(ExtentTable::take_first(&runs));
    return extents;
}

TEST(ExtentMap, a_cut_gives_back_the_tail) {
    ExtentMap map = map_of({run(0, 10, 1), run(10, 10, 2), run(30, 10, 3)});
    Changes changes;
    map.cut(15, &changes);
    EXPECT_EQ(extents_of(map), (Extents{run(0, 10, 1), run(10, 5, 2)}));
    EXPECT_EQ(map.covered_bytes(), 15u);
    EXPECT_EQ(changes.removed, (Extents{run(10, 10, 2)}));
    EXPECT_EQ(changes.cut_off.weight(), 15u);
    EXPECT_EQ(taken_from(changes.cut_off), (Extents{run(15, 5, 2, 5), run(30, 10, 3)}));
}

TEST(ExtentMap, a_cut_to_nothing_takes_everything) {
    ExtentMap map = map_of({run(0, 10, 1), run(10, 10, 2)});
    Changes changes;
    map.cut(0, &changes);
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.covered_bytes(), 0u);
    EXPECT_TRUE(changes.added.empty() && changes.removed.empty());
    EXPECT_EQ(taken_from(changes.cut_off), (Extents{run(0, 10, 1), run(10, 10, 2)}));
}

TEST(ExtentMap, an_overwrite_of_many_extents_cuts_all_but_a_few_off_at_once) {
    ExtentMap map;
    for (uint64_t i = 0; i < 100'000; ++i) {
        Changes changes;
        map.overwrite(run(i * 10, 10, i + 1), &changes);
    }
    Changes changes;
    map.overwrite(run(5, 999'990, 200'000), &changes);
    EXPECT_EQ(extents_of(map), (Extents{run(0, 5, 1), run(5, 999'990, 200'000), run(999'995, 5, 100'000, 5)}));
    EXPECT_LE(changes.removed.size() + changes.added.size(), 20u);
    EXPECT_EQ(changes.cut_off.size(), 100'000u - ExtentTable::kRemovedOneByOne);
}

TEST(ExtentMap, empty_and_overflowing_extents_break_an_invariant) {
    ExtentMap map;
    Changes changes;
    EXPECT_THROW(map.overwrite(run(0, 0, 1), &changes), InvariantBroken);
    EXPECT_THROW(map.overwrite(run(UINT64_MAX, 2, 1), &changes), InvariantBroken);
    ExtentTable::Runs nothing;
    EXPECT_THROW(ExtentTable::take_first(&nothing), InvariantBroken);
}

// --- Against the model -----------------------------------------------------------------------------------------------

struct Origin {
    uint64_t chunk = 0;  // 0: a hole.
    uint64_t chunk_offset = 0;
    bool operator==(const Origin&) const = default;
};

constexpr uint64_t kModelBytes = 400;

struct Model {
    std::vector<Origin> bytes = std::vector<Origin>(kModelBytes);
    std::map<ChunkKey, int64_t> references;  // What a counter that follows the changes would hold.
    std::vector<ExtentTable::Runs> cut_off;  // What has not been released yet.

    void count(const Changes& changes) {
        for (const FileExtent& extent : changes.added) ++references[extent.chunk];
        for (const FileExtent& extent : changes.removed) --references[extent.chunk];
        if (!changes.cut_off.empty()) cut_off.push_back(changes.cut_off);
    }
    void reclaim(uint64_t extents_max) {
        for (uint64_t i = 0; i < extents_max && !cut_off.empty(); ++i) {
            --references[ExtentTable::take_first(&cut_off.front()).chunk];
            if (cut_off.front().empty()) cut_off.erase(cut_off.begin());
        }
    }
};

void expect_same(const ExtentMap& map, const Model& model) {
    std::vector<Origin> bytes(kModelBytes);
    std::map<ChunkKey, int64_t> references;
    uint64_t covered = 0;
    uint64_t end = 0;
    const FileExtent* before = nullptr;
    const Extents extents = extents_of(map);
    for (const FileExtent& extent : extents) {
        ASSERT_GT(extent.length, 0u);
        ASSERT_GE(extent.offset, end) << "extents overlap or are out of order";
        const bool mergeable = before != nullptr && before->end() == extent.offset && before->chunk == extent.chunk &&
                               before->chunk_offset + before->length == extent.chunk_offset;
        // Neighbours become one when written next to each other; a cut or an overwrite never leaves new pairs.
        ASSERT_FALSE(mergeable) << "at " << extent.offset;
        before = &extent;
        end = extent.end();
        covered += extent.length;
        ++references[extent.chunk];
        for (uint64_t i = 0; i < extent.length; ++i) {
            bytes[extent.offset + i] = {extent.chunk.number, extent.chunk_offset + i};
        }
    }
    ASSERT_EQ(bytes, model.bytes);
    ASSERT_EQ(covered, map.covered_bytes());
    ASSERT_EQ(end, map.end());
    for (const ExtentTable::Runs& runs : model.cut_off) {
        for (auto at = runs.begin(); at.valid(); at.next()) ++references[at.value().chunk];
    }
    for (const auto& [chunk, count] : model.references) ASSERT_EQ(references[chunk], count) << chunk.number;
}

void random_step(RandomStream& random, ExtentMap& map, Model& model) {
    Changes changes;
    model.reclaim(random.below(3));
    if (random.below(20) == 0) {
        const uint64_t size = random.below(kModelBytes);
        map.cut(size, &changes);
        for (uint64_t i = size; i < kModelBytes; ++i) model.bytes[i] = {};
        return model.count(changes);
    }
    // Few chunks and offsets that often agree with the file's, so that neighbours do come to follow each other.
    const uint64_t offset = random.below(kModelBytes - 1);
    const uint64_t longest = random.below(10) == 0 ? kModelBytes : 8;
    const uint64_t length = 1 + random.below(std::min<uint64_t>(kModelBytes - offset, longest));
    const uint64_t chunk = 1 + random.below(3);
    const uint64_t chunk_offset = random.below(2) == 0 ? offset : random.below(50);
    map.overwrite(run(offset, length, chunk, chunk_offset), &changes);
    for (uint64_t i = 0; i < length; ++i) model.bytes[offset + i] = {chunk, chunk_offset + i};
    model.count(changes);
}

TEST(ExtentMap, agrees_with_an_array_of_bytes_after_every_random_step) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        RandomStream random(seed, 1);
        ExtentMap map;
        Model model;
        for (int step = 0; step < 300; ++step) {
            random_step(random, map, model);
            expect_same(map, model);
            if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
        }
    }
}

TEST(ExtentMap, any_range_agrees_with_an_array_of_bytes) {
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        RandomStream random(seed, 2);
        ExtentMap map;
        Model model;
        for (int step = 0; step < 40; ++step) random_step(random, map, model);
        for (int question = 0; question < 50; ++question) {
            const uint64_t offset = random.below(kModelBytes);
            const uint64_t length = random.below(kModelBytes - offset + 1);
            std::vector<Origin> bytes(length);
            for (const FileExtent& extent : range_of(map, offset, length)) {
                ASSERT_GE(extent.offset, offset);
                ASSERT_LE(extent.end(), offset + length);
                for (uint64_t i = 0; i < extent.length; ++i) {
                    bytes[extent.offset - offset + i] = {extent.chunk.number, extent.chunk_offset + i};
                }
            }
            const auto begin = model.bytes.begin() + static_cast<ptrdiff_t>(offset);
            ASSERT_EQ(bytes, std::vector<Origin>(begin, begin + static_cast<ptrdiff_t>(length))) << "seed " << seed;
        }
    }
}

}  // namespace
}  // namespace sandstore
