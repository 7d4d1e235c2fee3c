#include <gtest/gtest.h>

#include <map>

#include "actors/chunk/chunk_index.h"
#include "runtime/random.h"

namespace sandstore {
namespace {

ChunkIndex::Entry entry_of(ChunkKey key, uint32_t length, bool damaged = false) {
    ChunkIndex::Entry entry;
    entry.key = key;
    entry.length = length;
    entry.volume = 1;
    entry.damaged = damaged;
    return entry;
}

TEST(ChunkIndex, does_what_an_ordered_map_does) {
    RandomStream random(3, 3);
    for (int round = 0; round < 20; round++) {
        ChunkIndex index;
        std::map<ChunkKey, ChunkIndex::Entry> model;
        const uint64_t keys = 1 + random.below(3000);
        for (int step = 0; step < 6000; step++) {
            const ChunkKey key{1 + random.below(3), 1 + random.below(keys)};
            if (random.below(3) > 0) {
                const auto entry = entry_of(key, static_cast<uint32_t>(1 + random.below(100)), random.below(5) == 0);
                index.put(entry);
                model[key] = entry;
            } else if (random.below(4) > 0) {
                index.erase(key);
                model.erase(key);
            } else if (model.contains(key)) {
                model[key].damaged = random.below(2) == 0;
                index.set_damaged(key, model[key].damaged);
            }
            const ChunkKey probe{1 + random.below(3), random.below(keys + 2)};
            const auto next = model.upper_bound(probe);
            const ChunkIndex::Entry* found = index.first_after(probe);
            ASSERT_EQ(found == nullptr, next == model.end());
            if (found != nullptr) {
                ASSERT_EQ(found->key, next->first);
            }
            ASSERT_EQ(index.find(probe) != nullptr, model.contains(probe));
        }
        uint64_t intact = 0;
        uint64_t bytes = 0;
        const ChunkIndex::Entry* entry = index.first_after({});
        for (const auto& [key, expected] : model) {
            ASSERT_NE(entry, nullptr);
            EXPECT_EQ(entry->key, key);
            EXPECT_EQ(entry->length, expected.length);
            EXPECT_EQ(entry->damaged, expected.damaged);
            intact += !expected.damaged;
            bytes += expected.damaged ? 0 : expected.length;
            entry = index.first_after(key);
        }
        EXPECT_EQ(entry, nullptr);
        EXPECT_EQ(index.size(), model.size());
        EXPECT_EQ(index.intact(), intact);
        EXPECT_EQ(index.intact_bytes(), bytes);
    }
}

TEST(ChunkIndex, costs_little_for_ids_in_rising_order_also_after_most_have_gone) {
    constexpr uint64_t kChunks = 200'000;
    ChunkIndex index;
    for (uint64_t number = 1; number <= kChunks; number++) index.put(entry_of({5, number}, 1));
    EXPECT_LE(index.memory_bytes(), 48 * kChunks);
    for (uint64_t number = 1; number <= kChunks; number++) {
        if (number % 10 != 0) index.erase({5, number});
    }
    EXPECT_EQ(index.size(), kChunks / 10);
    EXPECT_LE(index.memory_bytes(), 4 * 48 * kChunks / 10);
    for (uint64_t number = 10; number <= kChunks; number += 10) index.erase({5, number});
    EXPECT_EQ(index.size(), 0u);
    EXPECT_EQ(index.first_after({}), nullptr);
}

}  // namespace
}  // namespace sandstore
