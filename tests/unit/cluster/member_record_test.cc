// Records in etcd, --peers, and the JSON beneath them.
#include "actors/cluster/member_record.h"

#include <gtest/gtest.h>

#include "actors/cluster/identity.h"
#include "actors/cluster/strict_json.h"
#include "actors/cluster/view_cache.h"

namespace sandstore {
namespace {

constexpr std::string_view kGood =
    R"({"id":"node-1","address":"node-1:8080","role":"metadata-raft-member","metadata":{"zone":"a"}})";

std::string member_error(std::string_view text, std::string_view id = "node-1") {
    std::string error;
    EXPECT_FALSE(parse_member_record(id, text, &error)) << text;
    return error;
}

TEST(MemberRecord, a_good_record_is_read) {
    std::string error;
    const auto member = parse_member_record("node-1", kGood, &error);
    ASSERT_TRUE(member) << error;
    EXPECT_EQ(member->id(), "node-1");
    EXPECT_EQ(member->address(), "node-1:8080");
    EXPECT_EQ(member->role(), kMemberRole);
    EXPECT_EQ(member->zone(), "a");
}

TEST(MemberRecord, what_is_written_is_read_back) {
    pb::Member member;
    member.set_id("node-1");
    member.set_address("[fe80::1]:8080");
    member.set_role(std::string(kMemberRole));
    for (const std::string zone : {"", "b"}) {
        member.set_zone(zone);
        std::string error;
        const auto read = parse_member_record("node-1", member_record_text(member), &error);
        ASSERT_TRUE(read) << error;
        EXPECT_EQ(read->SerializeAsString(), member.SerializeAsString());
    }
}

TEST(MemberRecord, metadata_may_be_missing_and_unknown_fields_are_left_alone) {
    std::string error;
    EXPECT_TRUE(parse_member_record(
        "node-1", R"({"id":"node-1","address":"a:1","role":"metadata-raft-member","weight":[1,2]})", &error))
        << error;
}

TEST(MemberRecord, each_kind_of_bad_record_has_its_reason) {
    EXPECT_EQ(member_error(""), "the record is empty");
    EXPECT_TRUE(member_error("hello").starts_with("not JSON: "));
    EXPECT_TRUE(member_error(R"({"id":"node-1",})").starts_with("not JSON: "));
    EXPECT_TRUE(member_error(std::string(kGood) + "x").starts_with("not JSON: "));
    EXPECT_EQ(member_error("[]"), "the record is not a JSON object");
    EXPECT_EQ(member_error(R"({"id":1,"address":"a:1","role":"metadata-raft-member"})"),
              "id, address and role must be strings");
    EXPECT_EQ(member_error(kGood, "node-2"), "the id \"node-1\" differs from the key's");
    EXPECT_EQ(member_error(R"({"id":"node-1","role":"metadata-raft-member"})"), "the address is empty");
    EXPECT_EQ(member_error(R"({"id":"node-1","address":"a","role":"metadata-raft-member"})"),
              "the address \"a\" is not host:port");
    EXPECT_EQ(member_error(R"({"id":"node-1","address":"a:0","role":"metadata-raft-member"})"),
              "the port in the address \"a:0\" is not 1..65535");
    EXPECT_EQ(member_error(R"({"id":"node-1","address":"a:1","role":"proxy"})"),
              "the role \"proxy\" is not known here (metadata-raft-member)");
    EXPECT_EQ(member_error(R"({"id":"node-1","address":"a:1","role":"metadata-raft-member","metadata":7})"),
              "metadata must be an object, and its zone a short string");
    EXPECT_TRUE(member_error(kGood, "a/b").starts_with("the key does not end in a node id"));
}

TEST(MemberRecord, reasons_stay_on_one_line_whatever_the_record_holds) {
    const std::string error = member_error(R"({"id":"a\nb","address":"a:1","role":"metadata-raft-member"})");
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

TEST(MemberRecord, addresses) {
    for (const std::string_view good : {"a:1", "127.0.0.1:65535", "[::1]:80", "node-1.example.org:8080"}) {
        EXPECT_EQ(address_problem(good), "") << good;
    }
    for (const std::string_view bad :
         {"", ":1", "a", "a:", "a:0", "a:65536", "a:-1", "a:1x", "::1:80", "a b:1", "http://a:1", "a,b:1", "x@a:1"}) {
        EXPECT_NE(address_problem(bad), "") << bad;
    }
}

TEST(ClusterRecord, is_read_with_its_members_sorted) {
    std::string error;
    const auto record = parse_cluster_record(R"({"id":"blue","members":["node-3","node-1"]})", &error);
    ASSERT_TRUE(record) << error;
    EXPECT_EQ(record->id, "blue");
    EXPECT_EQ(record->members, (std::vector<std::string>{"node-1", "node-3"}));
    EXPECT_EQ(cluster_record_text(*record), R"({"id":"blue","members":["node-1","node-3"]})");
}

TEST(ClusterRecord, bad_ones_are_refused) {
    for (const std::string_view bad :
         {"", "{}", "[]", R"({"id":"blue"})", R"({"id":"blue","members":[]})", R"({"id":"blue","members":"node-1"})",
          R"({"id":"blue","members":["node-1","node-1"]})", R"({"id":"blue","members":[1]})",
          R"({"id":"two words","members":["node-1"]})", R"({"id":"","members":["node-1"]})"}) {
        std::string error;
        EXPECT_FALSE(parse_cluster_record(bad, &error)) << bad;
        EXPECT_NE(error, "") << bad;
    }
}

TEST(Peers, are_read_and_sorted_by_id) {
    std::string error;
    const auto peers = parse_peers("node-2=b:2,node-1=a:1", &error);
    ASSERT_TRUE(peers) << error;
    EXPECT_EQ(member_ids(*peers), (std::vector<std::string>{"node-1", "node-2"}));
    EXPECT_EQ((*peers)[1].address(), "b:2");
    EXPECT_EQ((*peers)[1].role(), kMemberRole);
}

TEST(Peers, mistakes_are_named) {
    const auto error_of = [](std::string_view text) {
        std::string error;
        EXPECT_FALSE(parse_peers(text, &error)) << text;
        return error;
    };
    EXPECT_EQ(error_of("node-1"), "\"node-1\" is not of the form id=value");
    EXPECT_EQ(error_of("node-1=a:1,"), "\"\" is not of the form id=value");
    EXPECT_EQ(error_of("node-1=a"), "the address \"a\" is not host:port");
    EXPECT_EQ(error_of("node-1=a:1,node-1=b:1"), "the id node-1 is given twice");
    EXPECT_EQ(error_of("node-1=a:1,node-2=a:1"), "the address a:1 is given twice");
    EXPECT_TRUE(error_of("~1=a:1").starts_with("\"~1\" is not a node id"));
}

TEST(Peers, zones_are_added_to_known_nodes_only) {
    std::string error;
    auto peers = parse_peers("node-1=a:1,node-2=b:2", &error);
    ASSERT_TRUE(peers);
    EXPECT_TRUE(set_zones("node-2=east", &*peers, &error));
    EXPECT_EQ((*peers)[0].zone(), "");
    EXPECT_EQ((*peers)[1].zone(), "east");
    EXPECT_FALSE(set_zones("node-3=east", &*peers, &error));
    EXPECT_EQ(error, "\"node-3\" is not one of the nodes (node-1, node-2)");
}

TEST(DerivedClusterId, depends_on_every_id_and_nothing_else) {
    const std::string id = derived_cluster_id("static", {"node-1", "node-2"});
    EXPECT_EQ(id.size(), std::string("static-").size() + 16);
    EXPECT_EQ(id, derived_cluster_id("static", {"node-1", "node-2"}));
    EXPECT_NE(id, derived_cluster_id("static", {"node-1", "node-3"}));
    EXPECT_NE(id, derived_cluster_id("static", {"node-1node-2"}));
    EXPECT_TRUE(is_cluster_name(id));
    EXPECT_TRUE(derived_cluster_id("etcd", {"a"}).starts_with("etcd-"));
    EXPECT_TRUE(is_derived_cluster_id(id));
    for (const std::string_view given :
         {"blue", "static-blue", "sandstore-0123456789abcdef", "static-0123456789ABCDEF"}) {
        EXPECT_FALSE(is_derived_cluster_id(given)) << given;
    }
}

TEST(StrictJson, depth_and_size_are_bounded) {
    std::string error;
    EXPECT_FALSE(parse_json(std::string(100'000, '['), &error));
    EXPECT_FALSE(parse_json(std::string(kJsonBytesMax + 1, ' '), &error));
    EXPECT_FALSE(parse_json(R"({"a":1,"a":2})", &error)) << "duplicate keys";
    EXPECT_FALSE(parse_json("{} {}", &error));
    EXPECT_FALSE(parse_json("7", &error));
    EXPECT_TRUE(parse_json(R"({"a":[{"b":[]}]})", &error)) << error;
}

TEST(IdentityFile, what_is_written_is_read_back) {
    pb::Identity identity;
    identity.set_format(2);
    identity.set_cluster_id("blue");
    identity.set_node_id("node-1");
    identity.set_storage(0xabc);
    identity.set_begun(true);
    for (const auto& [voter, storage] : {std::pair("node-1", uint64_t{0xabc}), std::pair("node-2", uint64_t{0xdef})}) {
        identity.add_bootstrap_voters(voter);
        identity.add_storages()->set_id(voter);
        identity.mutable_storages(identity.storages_size() - 1)->set_storage(storage);
    }
    identity.set_founding(founding_of(identity));
    std::string error;
    auto read = parse_identity(identity_text(identity), &error);
    ASSERT_TRUE(read) << error;
    EXPECT_EQ(read->SerializeAsString(), identity.SerializeAsString());

    pb::Identity unfinished;
    unfinished.set_format(2);
    unfinished.set_node_id("node-1");
    unfinished.set_storage(0xabc);
    EXPECT_EQ(identity_text(unfinished),
              "{\"checksum\":\"46f5fcbe\",\"format\":2,\"node_id\":\"node-1\",\"storage_id\":\"0000000000000abc\"}\n");
    read = parse_identity(identity_text(unfinished), &error);
    ASSERT_TRUE(read) << error;
    EXPECT_EQ(read->SerializeAsString(), unfinished.SerializeAsString());
}

TEST(IdentityFile, every_cut_of_it_is_refused) {
    const std::string whole =
        R"({"format":2,"cluster_id":"b","node_id":"n","storage_id":"00000000000000ff","bootstrap_voters":["n"]})";
    std::string error;
    ASSERT_TRUE(parse_identity(whole, &error)) << error;
    for (size_t length = 0; length < whole.size(); ++length) {
        EXPECT_FALSE(parse_identity(whole.substr(0, length), &error)) << length;
    }
}

TEST(IdentityFile, another_format_is_named) {
    std::string error;
    EXPECT_FALSE(parse_identity(R"({"format":3})", &error));
    EXPECT_EQ(error, "its format is 3, and this version knows format 2");
}

TEST(IdentityFile, clusters_of_one_name_differ_in_their_founding) {
    pb::Identity one;
    one.set_cluster_id("blue");
    one.add_storages()->set_id("node-1");
    pb::Identity other = one;
    one.mutable_storages(0)->set_storage(1);
    other.mutable_storages(0)->set_storage(2);
    EXPECT_NE(founding_of(one), founding_of(other));
}

TEST(ViewCache, what_is_written_is_read_back_as_a_cached_view) {
    pb::ClusterView view;
    view.set_cluster_id("blue");
    view.add_bootstrap_members("node-1");
    std::string error;
    const auto peers = parse_peers("node-1=a:1,node-2=b:2", &error);
    view.mutable_members()->Add(peers->begin(), peers->end());
    const auto read = parse_view_cache(view_cache_text(view), &error);
    ASSERT_TRUE(read) << error;
    EXPECT_TRUE(read->from_cache());
    EXPECT_TRUE(same_view(*read, view));
    EXPECT_FALSE(parse_view_cache("{}", &error));
    EXPECT_FALSE(
        parse_view_cache(R"({"format":1,"cluster_id":"","bootstrap_members":[],"members":[{"id":"x"}]})", &error));
}

}  // namespace
}  // namespace sandstore
