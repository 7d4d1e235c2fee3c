// The copy-on-write map against std::map, which is too simple to be wrong: the same steps, and many copies that must
// stay as they were.
#include "actors/state/cow_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/random.h"

namespace sandstore {
namespace {

uint64_t as_key(uint64_t number, uint64_t) {
    return number;
}

// Some of them short, some long enough to have memory of their own.
std::string as_key(uint64_t number, const std::string&) {
    return std::string(number % 3 == 0 ? 30 : 1, static_cast<char>('a' + number % 7)) + std::to_string(number);
}

struct Length {
    uint64_t operator()(const std::string& value) const { return value.size(); }
};

template <typename Key>
struct Pair {
    CowMap<Key, std::string, std::less<>, Length> map;
    std::map<Key, std::string> model;

    void expect_same() const {
        ASSERT_EQ(map.size(), model.size());
        uint64_t weight = 0;
        for (const auto& [key, value] : model) weight += value.size();
        ASSERT_EQ(map.weight(), weight);
        auto expected = model.begin();
        for (auto at = map.begin(); at.valid(); at.next(), ++expected) {
            ASSERT_NE(expected, model.end());
            ASSERT_EQ(at.key(), expected->first);
            ASSERT_EQ(at.value(), expected->second);
        }
        ASSERT_EQ(expected, model.end());
        auto backwards = model.rbegin();
        for (auto at = map.last(); at.valid(); at.previous(), ++backwards) ASSERT_EQ(at.key(), backwards->first);
        ASSERT_EQ(backwards, model.rend());
    }

    void expect_same_around(const Key& key) const {
        const std::string* found = map.find(key);
        const auto known = model.find(key);
        ASSERT_EQ(found != nullptr, known != model.end());
        if (found != nullptr) {
            ASSERT_EQ(*found, known->second);
        }
        auto lower = map.lower_bound(key);
        const auto expected_lower = model.lower_bound(key);
        ASSERT_EQ(lower.valid(), expected_lower != model.end());
        if (lower.valid()) {
            ASSERT_EQ(lower.key(), expected_lower->first);
        }
        const auto upper = map.upper_bound(key);
        const auto expected_upper = model.upper_bound(key);
        ASSERT_EQ(upper.valid(), expected_upper != model.end());
        if (upper.valid()) {
            ASSERT_EQ(upper.key(), expected_upper->first);
        }
        if (model.empty()) return;
        lower.previous();
        ASSERT_EQ(lower.valid(), expected_lower != model.begin());
        if (lower.valid()) {
            ASSERT_EQ(lower.key(), std::prev(expected_lower)->first);
        }
    }

    void random_step(RandomStream& random, uint64_t keys, uint64_t removed_of_ten) {
        const Key key = as_key(random.below(keys), Key());
        expect_same_around(key);
        const std::string value = std::to_string(random.next());
        if (random.below(10) < removed_of_ten) {
            ASSERT_EQ(map.erase(key), model.erase(key) == 1);
        } else if (random.below(4) == 0) {
            std::string* found = map.edit(key);
            ASSERT_EQ(found != nullptr, model.contains(key));
            if (found != nullptr) found->front() = model[key].front() = value.front();  // Of the same weight.
        } else {
            ASSERT_EQ(map.insert(key, value), model.insert({key, value}).second);
        }
    }
};

// Takes a part out of a map, most often a short one, compares both, and puts some of it back.
template <typename Key>
void take_part_out(Pair<Key>* pair, RandomStream& random, uint64_t keys) {
    Key begin = as_key(random.below(keys), Key());
    Key end = random.below(3) == 0 ? as_key(random.below(keys), Key()) : begin;
    if (auto at = pair->map.lower_bound(end); at.valid()) {
        for (uint64_t i = random.below(200); i > 0 && at.valid(); --i, at.next()) end = at.key();
    }
    Pair<Key> taken;
    taken.map = pair->map.extract(begin, end);
    const auto first = pair->model.lower_bound(begin);
    for (auto at = first; at != pair->model.end() && at->first < end;) {
        taken.model.insert(*at);
        at = pair->model.erase(at);
    }
    pair->expect_same();
    taken.expect_same();
    if (testing::Test::HasFatalFailure()) return;
    for (int i = 0; i < 100; ++i) taken.random_step(random, keys, 5);
    taken.expect_same();
    if (random.below(2) == 0) return;
    for (const auto& [key, value] : taken.model) {
        if (pair->model.insert({key, value}).second) pair->map.insert(key, value);
    }
    pair->expect_same();
}

template <typename Key>
void check_with_many_copies(uint64_t seed, uint64_t keys) {
    RandomStream random(seed, 4);
    Pair<Key> live;
    std::vector<Pair<Key>> copies;
    uint64_t removed_of_ten = 3;
    for (int step = 0; step < 6000; ++step) {
        if (step % 500 == 0) removed_of_ten = random.below(9);  // Grows and shrinks by turns.
        live.random_step(random, keys, removed_of_ten);
        if (random.below(100) == 0) take_part_out(&live, random, keys);
        if (testing::Test::HasFatalFailure()) return;
        if (random.below(200) == 0) copies.push_back(live);
        if (!copies.empty() && random.below(300) == 0) {
            // A copy may be changed as well, be put back, or go.
            Pair<Key>& chosen = copies[random.below(copies.size())];
            switch (random.below(3)) {
                case 0:
                    for (int i = 0; i < 50; ++i) chosen.random_step(random, keys, 5);
                    break;
                case 1:
                    std::swap(chosen, live);
                    break;
                default:
                    std::swap(chosen, copies.back());
                    copies.pop_back();
            }
        }
        if (step % 250 != 0) continue;
        live.expect_same();
        for (const Pair<Key>& copy : copies) copy.expect_same();
        if (testing::Test::HasFatalFailure()) return;
    }
    while (!copies.empty()) {
        copies.back().expect_same();
        size_t nodes = 3;
        while (!copies.back().map.discard(&nodes)) nodes = 3;
        copies.pop_back();
        live.expect_same();
    }
}

TEST(CowMap, agrees_with_a_standard_map_after_every_random_step_and_copies_stay_as_they_were) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        check_with_many_copies<uint64_t>(seed, seed % 2 == 0 ? 200 : 5000);
        check_with_many_copies<std::string>(seed, seed % 2 == 0 ? 200 : 3000);
        if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed;
    }
}

TEST(CowMap, rising_falling_and_interleaved_keys_are_all_there_and_can_all_be_removed) {
    constexpr uint64_t kKeys = 20'000;
    const std::vector<std::function<uint64_t(uint64_t)>> orders = {
        [](uint64_t i) { return i; },
        [](uint64_t i) { return kKeys - 1 - i; },
        [](uint64_t i) { return i % 2 == 0 ? i / 2 : kKeys - 1 - i / 2; },
        [](uint64_t i) { return i * 7919 % kKeys; },
    };
    for (const auto& order : orders) {
        CowMap<uint64_t, uint64_t> map;
        for (uint64_t i = 0; i < kKeys; ++i) ASSERT_TRUE(map.insert(order(i), i));
        uint64_t expected = 0;
        for (auto at = map.begin(); at.valid(); at.next()) ASSERT_EQ(at.key(), expected++);
        ASSERT_EQ(expected, kKeys);
        for (const auto& other : orders) {
            CowMap<uint64_t, uint64_t> copy = map;
            for (uint64_t i = 0; i < kKeys; ++i) ASSERT_TRUE(copy.erase(other(i)));
            ASSERT_TRUE(copy.empty());
            ASSERT_FALSE(copy.begin().valid());
        }
        ASSERT_EQ(map.size(), kKeys);
    }
}

TEST(CowMap, an_empty_map_has_nothing_anywhere) {
    CowMap<uint64_t, uint64_t> map;
    EXPECT_EQ(map.find(uint64_t{1}), nullptr);
    EXPECT_EQ(map.edit(uint64_t{1}), nullptr);
    EXPECT_FALSE(map.erase(uint64_t{1}));
    EXPECT_FALSE(map.begin().valid());
    EXPECT_FALSE(map.last().valid());
    EXPECT_FALSE(map.lower_bound(uint64_t{0}).valid());
    size_t nodes = 1;
    EXPECT_TRUE(map.discard(&nodes));
}

TEST(CowMap, taking_a_map_apart_goes_on_where_it_stopped_and_takes_as_many_nodes_as_allowed) {
    CowMap<uint64_t, uint64_t> map;
    for (uint64_t i = 0; i < 100'000; ++i) map.insert(i, i);
    CowMap<uint64_t, uint64_t> copy = map;
    size_t nodes = 1;
    EXPECT_TRUE(copy.discard(&nodes)) << "nothing of its own";
    uint64_t portions = 0;
    for (bool done = false; !done; ++portions) {
        nodes = 10;
        done = map.discard(&nodes);
    }
    EXPECT_GE(portions, 100'000 / 64 / 10);
}

// Counts copies and moves: what a change of a copied map costs.
struct Counted {
    static inline uint64_t copies = 0;
    uint64_t number = 0;
    Counted() = default;
    explicit Counted(uint64_t value) : number(value) {}
    Counted(const Counted& other) : number(other.number) { ++copies; }
    static inline uint64_t moves = 0;
    Counted(Counted&& other) noexcept : number(other.number) { ++moves; }
    Counted& operator=(const Counted& other) {
        number = other.number;
        ++copies;
        return *this;
    }
    Counted& operator=(Counted&& other) noexcept {
        number = other.number;
        ++moves;
        return *this;
    }
};

TEST(CowMap, a_part_of_any_length_is_taken_out_at_the_price_of_its_two_ends) {
    CowMap<uint64_t, Counted> map;
    for (uint64_t i = 0; i < 100'000; ++i) map.insert(i, Counted(i));
    const CowMap<uint64_t, Counted> copy = map;
    Counted::copies = Counted::moves = 0;
    CowMap<uint64_t, Counted> taken = map.extract(uint64_t{1234}, uint64_t{98'765});
    EXPECT_LT(Counted::copies + Counted::moves, 4000u);
    EXPECT_EQ(taken.size(), 97'531u);
    EXPECT_EQ(map.size(), 2'469u);
    EXPECT_EQ(copy.size(), 100'000u);
    EXPECT_EQ(taken.begin().key(), 1234u);
    EXPECT_EQ(taken.last().key(), 98'764u);
}

TEST(CowMap, a_change_copies_one_leaf_once_and_only_when_it_is_shared) {
    CowMap<uint64_t, Counted> map;
    for (uint64_t i = 0; i < 10'000; ++i) map.insert(i, Counted(i));
    Counted::copies = 0;
    map.edit(uint64_t{500})->number = 1;
    EXPECT_EQ(Counted::copies, 0u);
    const CowMap<uint64_t, Counted> frozen = map;
    EXPECT_EQ(Counted::copies, 0u);
    map.edit(uint64_t{500})->number = 2;
    const uint64_t of_one_leaf = Counted::copies;
    EXPECT_GT(of_one_leaf, 0u);
    EXPECT_LE(of_one_leaf, 64u);
    map.edit(uint64_t{500})->number = 3;
    EXPECT_EQ(Counted::copies, of_one_leaf);
    EXPECT_EQ(frozen.find(uint64_t{500})->number, 1u);
    EXPECT_EQ(map.find(uint64_t{500})->number, 3u);
}

}  // namespace
}  // namespace sandstore
