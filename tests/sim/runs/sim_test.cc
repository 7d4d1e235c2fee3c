// Whole clusters under faults, from seeds: what was acknowledged is there, nothing is applied twice, replicas are
// equal.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

pb::At at(const std::string& path) {
    pb::At at;
    at.set_path(path);
    return at;
}

Message create_file(const std::string& path, bool exclusive) {
    pb::Mutation mutation;
    *mutation.mutable_create_file()->mutable_at() = at(path);
    mutation.mutable_create_file()->set_mode(0644);
    mutation.mutable_create_file()->set_exclusive(exclusive);
    return message_of(std::move(mutation));
}

Message write_file(const std::string& path, const std::string& bytes, bool append) {
    pb::ClientWrite write;
    *write.mutable_at() = at(path);
    write.set_append(append);
    return message_of(std::move(write), Payload(bytes));
}

Message read_file(const std::string& path) {
    pb::ClientRead read;
    *read.mutable_at() = at(path);
    read.set_length(16u << 20);
    return message_of(std::move(read));
}

bool ready(SimCluster& cluster) {
    return cluster.runtime().run_until([&] { return !cluster.leader().empty(); }, 30 * kSecond);
}

TEST(SimCluster, boots_from_etcd_elects_and_stores) {
    SimCluster cluster(3, 1);
    cluster.start_all();
    cluster.add_client("client-1");
    ASSERT_TRUE(ready(cluster));
    EXPECT_EQ(cluster.call("client-1", create_file("/a", true))->mutation_result().status().code(), pb::STATUS_OK);
    const std::string bytes(200'000, 'x');
    const Message wrote = cluster.call("client-1", write_file("/a", bytes, false));
    ASSERT_EQ(wrote->client_write_reply().status().code(), pb::STATUS_OK)
        << wrote->client_write_reply().status().message();
    const Message read = cluster.call("client-1", read_file("/a"));
    EXPECT_EQ(read->client_read_reply().status().code(), pb::STATUS_OK);
    EXPECT_TRUE(read.payload == Payload(bytes));
    EXPECT_EQ(cluster.compare_states(), "");
}

TEST(SimCluster, nodes_wait_for_etcd) {
    SimCluster cluster(3, 2);
    cluster.etcd().is_up = false;
    cluster.start_all();
    cluster.runtime().run_for(20 * kSecond);
    EXPECT_EQ(cluster.leader(), "");
    cluster.etcd().is_up = true;
    EXPECT_TRUE(ready(cluster));
}

TEST(SimCluster, all_nodes_lose_power_at_once_and_acknowledged_files_are_there) {
    SimCluster cluster(3, 3);
    cluster.start_all();
    cluster.add_client("client-1");
    ASSERT_TRUE(ready(cluster));
    for (int i = 0; i < 20; i++) {
        const std::string path = str_cat("/f", i);
        ASSERT_EQ(cluster.call("client-1", create_file(path, true))->mutation_result().status().code(), pb::STATUS_OK);
        ASSERT_EQ(cluster.call("client-1", write_file(path, path, false))->client_write_reply().status().code(),
                  pb::STATUS_OK);
    }
    for (const std::string& id : cluster.ids()) cluster.power_cut(id);
    cluster.start_all();
    ASSERT_TRUE(ready(cluster));
    for (int i = 0; i < 20; i++) {
        const std::string path = str_cat("/f", i);
        const Message read = cluster.call("client-1", read_file(path));
        EXPECT_EQ(read.payload.to_string(), path) << read->client_read_reply().ShortDebugString();
    }
}

// One run: several clients append unique tokens to one file and create unique files while everything goes wrong.
class Storm {
 public:
    explicit Storm(uint64_t seed) : seed_(seed), dice_(seed, 5), cluster_(dice_.below(4) == 0 ? 5 : 3, seed) {}

    void run() {
        cluster_.start_all();
        for (int i = 0; i < 3; i++) {
            clients_.push_back(str_cat("client-", i));
            cluster_.add_client(clients_.back());
        }
        ASSERT_TRUE(ready(cluster_)) << describe();
        const Message made = cluster_.call(clients_[0], create_file("/log", false));
        ASSERT_EQ(made->mutation_result().status().code(), pb::STATUS_OK) << made->mutation_result().ShortDebugString();
        draw_faults();
        for (const std::string& client : clients_) next_operation(client);
        for (int step = 0; step < 60; step++) {
            cluster_.runtime().run_for(dice_.below(150'000));
            break_something();
        }
        heal();
        ASSERT_TRUE(cluster_.runtime().run_until([&] { return open_ == 0; }, 120 * kSecond)) << describe();
        ASSERT_TRUE(ready(cluster_)) << describe();
        verify();
    }

 private:
    std::string describe() {
        std::string text = str_cat("seed ", seed_);
        for (const auto& [node, reason] : cluster_.stops()) str_append(&text, "\n", node, " stopped: ", reason);
        str_append(&text, "\n", cluster_.describe());
        return text;
    }

    void draw_faults() {
        SimNetwork::Faults faults;
        if (dice_.below(2) == 0) faults.loss_per_mille = dice_.below(50);
        if (dice_.below(3) == 0) faults.duplicate_per_mille = dice_.below(50);
        if (dice_.below(2) == 0) faults.delay_max_us = 300 + dice_.below(20'000);
        faults.reorder = dice_.below(3) == 0;
        cluster_.network().set_faults(faults);
        kill_percent_ = dice_.below(3) == 0 ? 0 : dice_.below(15);
        power_percent_ = dice_.below(3) == 0 ? 0 : dice_.below(15);
        partition_percent_ = dice_.below(3) == 0 ? 0 : dice_.below(15);
        slow_disk_percent_ = dice_.below(3) == 0 ? dice_.below(20) : 0;
    }

    void break_something() {
        const std::string& id = cluster_.ids()[dice_.below(cluster_.ids().size())];
        if (dice_.below(100) < kill_percent_) cluster_.kill(id);
        if (dice_.below(100) < power_percent_) cluster_.power_cut(id);
        if (dice_.below(100) < 30) cluster_.start(id);
        if (dice_.below(100) < partition_percent_) {
            std::set<std::string> side;
            for (const std::string& each : cluster_.ids()) {
                if (dice_.below(2) == 0) side.insert(each);
            }
            cluster_.network().partition(side);
        }
        if (dice_.below(100) < 20) cluster_.network().heal();
        if (dice_.below(100) < slow_disk_percent_) {
            cluster_.disk(id).set_delays({.operation_us = 100, .sync_us = dice_.below(400'000), .jitter_us = 10'000});
        }
        if (dice_.below(100) < 3) cluster_.etcd().is_up = !cluster_.etcd().is_up;
    }

    void heal() {
        stopping_ = true;
        cluster_.network().heal();
        cluster_.network().set_faults({});
        cluster_.etcd().is_up = true;
        for (const std::string& id : cluster_.ids()) {
            cluster_.disk(id).set_delays({.operation_us = 20, .sync_us = 150, .jitter_us = 200});
            cluster_.start(id);
        }
    }

    void think(const std::string& client) {
        cluster_.runtime().schedule(
            dice_.below(20'000), [this, client] { next_operation(client); }, client);
    }

    void next_operation(const std::string& client) {
        if (stopping_) return;
        open_++;
        const uint64_t number = ++operations_;
        if (number % 3 == 0) {
            const std::string path = str_cat("/file-", number);
            cluster_.ask(client, create_file(path, true), 8 * kSecond, [this, client, path](Message reply) {
                open_--;
                const pb::StatusCode code = reply->mutation_result().status().code();
                if (reply->has_mutation_result() && code == pb::STATUS_OK) created_.insert(path);
                // Exclusive, unique name: EEXIST would mean that it was applied twice.
                if (code == pb::STATUS_EEXIST) twice_.insert(path);
                think(client);
            });
            return;
        }
        const std::string token = str_format("[%09llu]", static_cast<unsigned long long>(number));
        cluster_.ask(client, write_file("/log", token, true), 8 * kSecond, [this, client, token](Message reply) {
            open_--;
            if (reply->has_client_write_reply() && reply->client_write_reply().status().code() == pb::STATUS_OK) {
                appended_.insert(token);
            }
            think(client);
        });
    }

    void verify() {
        EXPECT_TRUE(cluster_.stops().empty()) << describe();
        EXPECT_TRUE(twice_.empty()) << describe() << "\n" << *twice_.begin();
        const Message read = cluster_.call(clients_[0], read_file("/log"), 60 * kSecond);
        ASSERT_EQ(read->client_read_reply().status().code(), pb::STATUS_OK)
            << describe() << "\n"
            << read->client_read_reply().ShortDebugString();
        const std::string text = read.payload.to_string();
        ASSERT_EQ(text.size() % 11, 0u) << describe();
        std::map<std::string, int> seen;
        for (size_t i = 0; i < text.size(); i += 11) seen[text.substr(i, 11)]++;
        for (const auto& [token, times] : seen) EXPECT_EQ(times, 1) << describe() << "\n" << token;
        for (const std::string& token : appended_) EXPECT_TRUE(seen.contains(token)) << describe() << "\n" << token;
        for (const std::string& path : created_) {
            pb::Query query;
            *query.mutable_stat()->mutable_at() = at(path);
            const Message stat = cluster_.call(clients_[0], message_of(std::move(query)), 60 * kSecond);
            EXPECT_EQ(stat->query_result().status().code(), pb::STATUS_OK) << describe() << "\n" << path;
        }
        EXPECT_EQ(cluster_.compare_states(), "") << describe();
        total_acknowledged += appended_.size() + created_.size();
    }

 public:
    static inline size_t total_acknowledged = 0;

 private:
    uint64_t seed_;
    RandomStream dice_;
    SimCluster cluster_;
    std::vector<std::string> clients_;
    std::set<std::string> created_, appended_, twice_;
    uint64_t operations_ = 0;
    int open_ = 0;
    bool stopping_ = false;
    uint64_t kill_percent_ = 0, power_percent_ = 0, partition_percent_ = 0, slow_disk_percent_ = 0;
};

// SANDSTORE_SIM_FROM and SANDSTORE_SIM_SEEDS choose other runs; a failure names its seed.
TEST(SimStorm, acknowledged_operations_survive_everything_exactly_once) {
    const char* from_text = std::getenv("SANDSTORE_SIM_FROM");
    const char* count_text = std::getenv("SANDSTORE_SIM_SEEDS");
    const uint64_t from = from_text == nullptr ? 1 : std::strtoull(from_text, nullptr, 10);
    const uint64_t count = count_text == nullptr ? 25 : std::strtoull(count_text, nullptr, 10);
    for (uint64_t seed = from; seed < from + count; seed++) {
        SCOPED_TRACE(str_cat("seed ", seed));
        Storm(seed).run();
        if (::testing::Test::HasFailure()) return;
    }
    std::printf("%zu operations acknowledged\n", Storm::total_acknowledged);
    EXPECT_GT(Storm::total_acknowledged, 0u);
}

}  // namespace
}  // namespace sandstore
