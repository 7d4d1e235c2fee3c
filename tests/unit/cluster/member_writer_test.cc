// MemberWriter against a small etcd of its own: ranges and guarded transactions.
#include "actors/cluster/member_writer.h"

#include <gtest/gtest.h>

#include <map>

#include "actors/cluster/base64.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/strict_json.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr std::string_view kThree = "node-1=a:1,node-2=b:2,node-3=c:3";

class MemberWriterTest : public testing::Test {
 protected:
    MemberWriter::Result init(std::string_view peers = kThree, std::string cluster_id = "") {
        ClusterPlan plan;
        plan.cluster_id = std::move(cluster_id);
        plan.new_cluster_id = "made-up";
        std::string error;
        plan.members = parse_peers(peers, &error).value();
        return MemberWriter([this](const std::string& path, const std::string& body, std::string* answer) {
                   return call(path, body, answer);
               })
            .write(plan);
    }

    bool call(const std::string& path, const std::string& body, std::string* answer) {
        if (!answers) return false;
        std::string error;
        const Json::Value request = parse_json(body, &error).value();
        if (path == "/v3/kv/range") {
            *answer = range(request);
        } else {
            EXPECT_EQ(path, "/v3/kv/txn");
            if (before_transaction) std::exchange(before_transaction, nullptr)();
            *answer = transaction(request);
        }
        return true;
    }

    std::string range(const Json::Value& request) {
        const std::string from = *base64_decode(request["key"].asString());
        const std::string to = *base64_decode(request["range_end"].asString());
        std::string pairs;
        for (const auto& [key, value] : records) {
            if (key < from || key >= to) continue;
            str_append(&pairs, pairs.empty() ? "" : ",", R"({"key":")", base64_encode(key), R"(","value":")",
                       base64_encode(value), R"("})");
        }
        return pairs.empty() ? R"({"header":{}})" : str_cat(R"({"header":{},"kvs":[)", pairs, "]}");
    }

    std::string transaction(const Json::Value& request) {
        ++transactions;
        for (const Json::Value& compare : request["compare"]) {
            const std::string key = *base64_decode(compare["key"].asString());
            const auto found = records.find(key);
            const bool absent = found == records.end();
            if (compare["target"].asString() == "CREATE" && !absent) return R"({"header":{}})";
            if (compare["target"].asString() == "VALUE" &&
                (absent || found->second != *base64_decode(compare["value"].asString()))) {
                return R"({"header":{}})";
            }
        }
        for (const Json::Value& put : request["success"]) {
            records[*base64_decode(put["request_put"]["key"].asString())] =
                *base64_decode(put["request_put"]["value"].asString());
        }
        return R"({"header":{},"succeeded":true,"responses":[{}]})";
    }

    bool answers = true;
    int transactions = 0;
    std::map<std::string, std::string> records;
    std::function<void()> before_transaction;
};

TEST_F(MemberWriterTest, all_records_are_written_in_one_transaction) {
    const auto result = init();
    EXPECT_EQ(result.outcome, MemberWriter::Outcome::kWritten) << result.text;
    EXPECT_EQ(transactions, 1);
    ASSERT_EQ(records.size(), 4u);
    EXPECT_EQ(records["/sandstore/config/nodes/node-1"],
              R"({"address":"a:1","id":"node-1","metadata":{},"role":"metadata-raft-member"})");
    EXPECT_EQ(records["/sandstore/config/cluster"], R"({"id":"made-up","members":["node-1","node-2","node-3"]})");
}

TEST_F(MemberWriterTest, a_second_run_changes_nothing) {
    init();
    const auto before = records;
    const auto result = init();
    EXPECT_EQ(result.outcome, MemberWriter::Outcome::kUnchanged);
    EXPECT_EQ(result.text, "the records are there already: nothing changed");
    EXPECT_EQ(records, before);
    EXPECT_EQ(transactions, 1);
}

TEST_F(MemberWriterTest, records_of_equal_meaning_are_left_as_they_are) {
    records["/sandstore/config/nodes/node-2"] =
        R"({ "role" : "metadata-raft-member", "id":"node-2", "address":"b:2" })";
    const auto before = records["/sandstore/config/nodes/node-2"];
    EXPECT_EQ(init().outcome, MemberWriter::Outcome::kWritten);
    EXPECT_EQ(records["/sandstore/config/nodes/node-2"], before);
    EXPECT_EQ(records.size(), 4u);
}

TEST_F(MemberWriterTest, other_records_are_none_of_its_business) {
    records["/sandstore/config/nodes/odd"] = "{";
    records["/sandstore/elsewhere"] = "x";
    EXPECT_EQ(init().outcome, MemberWriter::Outcome::kWritten);
    EXPECT_EQ(records["/sandstore/config/nodes/odd"], "{");
}

TEST_F(MemberWriterTest, another_cluster_is_a_conflict_that_says_what_to_do) {
    init("node-1=a:1,node-4=d:4", "blue");
    const auto before = records;
    const auto result = init();
    EXPECT_EQ(result.outcome, MemberWriter::Outcome::kConflict);
    EXPECT_TRUE(result.text.starts_with("etcd already has another cluster, blue of node-1, node-4: use another etcd"))
        << result.text;
    EXPECT_NE(result.text.find("etcdctl del /sandstore/config/cluster"), std::string::npos);
    EXPECT_EQ(records, before);
}

TEST_F(MemberWriterTest, another_cluster_id_is_a_conflict) {
    init(kThree, "blue");
    EXPECT_EQ(init(kThree, "green").outcome, MemberWriter::Outcome::kConflict);
    EXPECT_EQ(init(kThree, "blue").outcome, MemberWriter::Outcome::kUnchanged);
    EXPECT_EQ(init().outcome, MemberWriter::Outcome::kUnchanged) << "no id asked for";
}

TEST_F(MemberWriterTest, a_member_with_another_address_is_a_conflict) {
    init();
    const auto before = records;
    const auto result = init("node-1=a:1,node-2=elsewhere:2,node-3=c:3");
    EXPECT_EQ(result.outcome, MemberWriter::Outcome::kConflict);
    EXPECT_NE(result.text.find("etcdctl del /sandstore/config/nodes/node-2"), std::string::npos) << result.text;
    EXPECT_EQ(records, before);
}

TEST_F(MemberWriterTest, a_run_at_the_same_time_does_not_mix_with_this_one) {
    before_transaction = [this] { init(kThree, "theirs"); };
    const auto result = init();
    EXPECT_EQ(result.outcome, MemberWriter::Outcome::kUnchanged) << result.text;
    EXPECT_EQ(records["/sandstore/config/cluster"], R"({"id":"theirs","members":["node-1","node-2","node-3"]})");
}

TEST_F(MemberWriterTest, no_answer_is_a_failure) {
    answers = false;
    EXPECT_EQ(init().outcome, MemberWriter::Outcome::kFailed);
}

}  // namespace
}  // namespace sandstore
