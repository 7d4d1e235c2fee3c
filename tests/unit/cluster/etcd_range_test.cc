// etcd's JSON gateway as bytes: base64, the range request, its answers.
#include "actors/cluster/etcd_range.h"

#include <gtest/gtest.h>

#include "actors/cluster/base64.h"

namespace sandstore {
namespace {

TEST(Base64, the_vectors_of_rfc_4648) {
    const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : vectors) {
        EXPECT_EQ(base64_encode(bytes), text);
        EXPECT_EQ(base64_decode(text), bytes);
    }
}

TEST(Base64, every_byte_survives) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
}

TEST(Base64, anything_else_is_refused) {
    for (const std::string_view bad : {"Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9*", "Zh==", "Zm8 ", "Zm9v\n"}) {
        EXPECT_FALSE(base64_decode(bad)) << bad;
    }
}

TEST(EtcdRange, a_prefix_ends_where_its_last_byte_is_one_more) {
    EXPECT_EQ(etcd_prefix_end("/sandstore/config/"), "/sandstore/config0");
    EXPECT_EQ(etcd_prefix_end("a\xff"), "b");
    EXPECT_EQ(etcd_prefix_end("\xff\xff"), std::string(1, '\0'));
}

TEST(EtcdRange, the_request_names_the_whole_prefix) {
    EXPECT_EQ(etcd_range_body("/sandstore/config/"),
              R"({"key":"L3NhbmRzdG9yZS9jb25maWcv","range_end":"L3NhbmRzdG9yZS9jb25maWcw"})");
}

TEST(EtcdRange, an_answer_is_read_in_key_order) {
    std::string error;
    const auto records =
        parse_etcd_range(R"({"header":{"cluster_id":"14841639068965178418","revision":"5"},"kvs":[)"
                         R"({"key":"Yg==","create_revision":"2","mod_revision":"5","version":"1","value":"Zm9v"},)"
                         R"({"key":"YQ==","value":"Zg=="}],"count":"2"})",
                         &error);
    ASSERT_TRUE(records) << error;
    ASSERT_EQ(records->size(), 2u);
    EXPECT_EQ((*records)[0].key, "a");
    EXPECT_EQ((*records)[1].key, "b");
    EXPECT_EQ((*records)[1].value, "foo");
}

TEST(EtcdRange, what_is_empty_is_left_out_by_the_gateway) {
    std::string error;
    const auto none = parse_etcd_range(R"({"header":{"revision":"1"}})", &error);
    ASSERT_TRUE(none) << error;
    EXPECT_TRUE(none->empty());
    const auto no_value = parse_etcd_range(R"({"header":{},"kvs":[{"key":"YQ=="}],"count":"1"})", &error);
    ASSERT_TRUE(no_value) << error;
    EXPECT_EQ((*no_value)[0].value, "");
}

TEST(EtcdRange, anything_else_is_refused_with_a_reason) {
    for (const std::string_view bad :
         {"", "<html>", "[]", "{}", R"({"kvs":[]})", R"({"header":{},"kvs":{}})", R"({"header":{},"kvs":[1]})",
          R"({"header":{},"kvs":[{"value":"YQ=="}]})", R"({"header":{},"kvs":[{"key":"*"}]})",
          R"({"header":{},"kvs":[{"key":"YQ==","value":"*"}]})", R"({"error":"etcdserver: no leader","code":14})"}) {
        std::string error;
        EXPECT_FALSE(parse_etcd_range(bad, &error)) << bad;
        EXPECT_NE(error, "") << bad;
    }
    std::string error;
    parse_etcd_range(R"({"error":"etcdserver: no leader","code":14})", &error);
    EXPECT_EQ(error, "etcd says: etcdserver: no leader");
}

TEST(EtcdRefusal, is_told_in_etcds_words_with_what_they_mean) {
    const std::string wants_user = etcd_refusal(
        400, R"({"error":"etcdserver: user name is empty","code":3,"message":"etcdserver: user name is empty"})");
    EXPECT_EQ(wants_user.find("HTTP status 400, etcd says: etcdserver: user name is empty (it wants a user"), 0u)
        << wants_user;
    EXPECT_NE(etcd_refusal(400, "Client sent an HTTP request to an HTTPS server.\n").find("it speaks TLS only"),
              std::string::npos);
    EXPECT_EQ(etcd_refusal(503, ""), "HTTP status 503");
    EXPECT_EQ(etcd_refusal(500, "\x1b[2J\nmore"), "HTTP status 500, etcd says: \\x1b[2J");
    EXPECT_LT(etcd_refusal(500, std::string(100'000, 'x')).size(), 300u);
}

}  // namespace
}  // namespace sandstore
