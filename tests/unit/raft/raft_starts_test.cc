// A voter whose directory was put back to an older copy counts as absent, as soon as somebody whose log knows of a
// later start of it is heard: what it promised since the copy was made is not in it.
#include <gtest/gtest.h>

#include "actors/raft/storage_starts.h"
#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

// What a node's directory holds beside its log.
struct Directory {
    uint64_t storage = 0;
    std::vector<uint64_t> starts;
};

class Starts : public ::testing::Test {
 protected:
    explicit Starts(uint64_t seed = 31, CoreCluster::Faults faults = {})
        : cluster(3, seed, faults, [this](RaftOptions* options) { adjust(options); }) {}

    void SetUp() override { ASSERT_TRUE(all_starts_are_bound()) << cluster.describe(); }

    void adjust(RaftOptions* options) {
        Directory& directory = directories[options->node_id];
        if (directory.storage == 0) directory.storage = first_storage(options->node_id);
        directory.starts.push_back(next_start(directory.storage, directory.starts, ++draws));
        options->storage = directory.storage;
        options->starts = directory.starts;
        for (const std::string& voter : options->bootstrap_voters) {
            options->bootstrap_storages[voter] = first_storage(voter);
        }
    }
    static uint64_t first_storage(const std::string& name) { return std::hash<std::string>()(name); }

    void stop(const std::string& name) {
        directories[name] = {core(name).options().storage, core(name).options().starts};
        cluster.crash(name);
    }
    void copy(const std::string& name) {
        cluster.copy_disk(name);
        copies[name] = directories[name];
    }
    void put_back(const std::string& name) {
        cluster.put_back_copy(name);
        directories[name] = copies[name];
    }

    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    std::string leader() { return cluster.leader(); }
    // By the logs of all nodes, and durable there.
    bool all_starts_are_bound() {
        return cluster.run_until([&] { return !leader().empty() && core(leader()).is_change_done() && agree(); },
                                 10 * kSecond);
    }
    bool agree() {
        for (const std::string& name : cluster.names()) {
            const RaftOptions& options = core(name).options();
            const uint64_t start = options.starts.empty() ? 0 : options.starts.back();
            for (const std::string& knows : cluster.names()) {
                if (core(knows).persisted_index() < core(knows).configuration_index()) return false;
                const Configuration& now = core(knows).configuration();
                if (!core(knows).is_configuration_committed() || now.storage_of(name) != options.storage) return false;
                if (now.start_of(name) != start) return false;
            }
        }
        return true;
    }
    void propose(int count) {
        for (int i = 0; i < count; i++) EXPECT_TRUE(cluster.propose(leader(), "entry " + std::to_string(i)));
    }
    bool all_committed() {
        const uint64_t last = core(leader()).last_index();
        return cluster.run_until([&] { return core(leader()).commit_index() >= last; }, 2 * kSecond);
    }
    std::string other(const std::string& than, const std::string& and_than = "") {
        for (const std::string& name : cluster.names()) {
            if (name != than && name != and_than) return name;
        }
        return "";
    }

    std::map<std::string, Directory> directories;
    std::map<std::string, Directory> copies;
    uint64_t draws = 0;
    CoreCluster cluster;
};

TEST_F(Starts, are_known_by_the_log) {
    EXPECT_NE(core(leader()).configuration().start_of(leader()), 0u);
    const std::string restarted = other(leader());
    const uint64_t before = core(leader()).configuration().start_of(restarted);
    stop(restarted);
    cluster.restart(restarted);
    ASSERT_TRUE(all_starts_are_bound());
    EXPECT_NE(core(leader()).configuration().start_of(restarted), before);
    EXPECT_EQ(core(restarted).options().storage, first_storage(restarted)) << "a restart is no loss";
}

TEST_F(Starts, while_nobody_restarts_nothing_is_written_because_of_them) {
    const uint64_t last = core(leader()).last_index();
    cluster.run_for(2 * kSecond);
    EXPECT_EQ(core(leader()).last_index(), last);
}

// Neither of the two holds what the third and the original have committed; only the start that is known tells.
TEST_F(Starts, an_older_copy_and_one_that_was_away_are_no_majority) {
    const std::string first = leader();
    const std::string away = other(first);
    const std::string copied = other(first, away);
    stop(copied);
    copy(copied);
    cluster.restart(copied);
    ASSERT_TRUE(all_starts_are_bound());
    stop(away);
    propose(5);
    ASSERT_TRUE(all_committed());
    const uint64_t committed = core(first).commit_index();
    stop(first);
    stop(copied);
    put_back(copied);
    cluster.restart(copied);
    cluster.restart(away);
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(leader(), "") << cluster.describe();
    EXPECT_TRUE(core(copied).options().storage != first_storage(copied)) << "it has found out";
    cluster.restart(first);
    ASSERT_TRUE(all_starts_are_bound()) << cluster.describe();
    EXPECT_GE(core(leader()).last_index(), committed);
    EXPECT_TRUE(core(leader()).configuration().is_voter(copied));
}

TEST_F(Starts, an_older_copy_under_the_same_leader_learns_anew_and_votes_again) {
    const std::string first = leader();
    const std::string copied = other(first);
    stop(copied);
    copy(copied);
    cluster.restart(copied);
    ASSERT_TRUE(all_starts_are_bound());
    propose(5);
    ASSERT_TRUE(all_committed());
    stop(copied);
    put_back(copied);
    cluster.restart(copied);
    ASSERT_TRUE(all_starts_are_bound()) << cluster.describe();
    EXPECT_NE(core(copied).options().storage, first_storage(copied));
    EXPECT_EQ(core(copied).last_index(), core(leader()).last_index());
}

TEST(StorageStarts, are_told_apart_from_those_of_other_storages_and_from_forgotten_ones) {
    constexpr uint64_t kStorage = 0x1234;
    std::vector<uint64_t> starts;
    for (uint64_t i = 0; i < 5; i++) starts.push_back(next_start(kStorage, starts, i));
    for (const uint64_t known : starts) EXPECT_FALSE(is_older_copy(kStorage, starts, known));
    const std::vector<uint64_t> copied(starts.begin(), starts.end() - 1);
    EXPECT_TRUE(is_older_copy(kStorage, copied, starts.back()));
    std::vector<uint64_t> went_on = copied;
    for (uint64_t i = 100; i < 110; i++) went_on.push_back(next_start(kStorage, went_on, i));
    EXPECT_TRUE(is_older_copy(kStorage, went_on, starts.back())) << "however often it was started since";
    const std::vector<uint64_t> kept(starts.begin() + 2, starts.end());
    EXPECT_FALSE(is_older_copy(kStorage, kept, starts.front())) << "too long ago to say";
    EXPECT_FALSE(is_older_copy(kStorage, starts, next_start(kStorage + 1, {}, 7))) << "of another storage";
    EXPECT_FALSE(is_older_copy(kStorage, starts, 0)) << "nothing was known";
    EXPECT_FALSE(is_older_copy(kStorage, {}, starts.back())) << "this node was not told its own";
}

// Directories go back to older copies again and again, while others come and go: nothing committed is lost (CoreCluster
// checks). The copy is made while the node is stopped, and its next start is known to all before anything else happens.
class StartsStorm : public Starts, public ::testing::WithParamInterface<int> {
 protected:
    StartsStorm() : Starts(GetParam(), {.loss_percent = 2, .duplicate_percent = 5, .reorder = true}) {}

    std::string any() {
        const std::vector<std::string> names = cluster.names();
        return names[cluster.random().below(names.size())];
    }
};

TEST_P(StartsStorm, older_copies_are_put_back_one_after_the_other) {
    for (int round = 0; round < 6; round++) {
        ASSERT_TRUE(all_starts_are_bound()) << cluster.describe();
        const std::string copied = any();
        const std::string away = any();
        stop(copied);
        copy(copied);
        cluster.restart(copied);
        ASSERT_TRUE(all_starts_are_bound()) << cluster.describe();
        if (away != copied) stop(away);
        ASSERT_TRUE(cluster.run_until([&] { return !leader().empty(); }, 20 * kSecond));
        for (int i = 0; i < 10; i++) cluster.propose(leader(), "entry");
        cluster.run_for(cluster.random().below(kSecond));
        const std::string third = other(copied, away);
        stop(third);
        stop(copied);
        put_back(copied);
        cluster.restart(copied);
        if (away != copied) cluster.restart(away);
        cluster.run_for(cluster.random().below(2 * kSecond));
        cluster.restart(third);
    }
    EXPECT_TRUE(all_starts_are_bound()) << cluster.describe();
}

INSTANTIATE_TEST_SUITE_P(Seeds, StartsStorm, ::testing::Range(1, 41));

}  // namespace
}  // namespace sandstore
