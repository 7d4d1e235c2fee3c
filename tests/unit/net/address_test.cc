#include "net/address.h"

#include <gtest/gtest.h>

namespace sandstore {
namespace {

std::string error_of(std::string_view text) {
    std::string error;
    EXPECT_FALSE(parse_address(text, &error)) << text;
    return error;
}

TEST(Address, host_and_port) {
    EXPECT_EQ(parse_address("node-1:8080", nullptr), (HostPort{"node-1", 8080}));
    EXPECT_EQ(parse_address("10.0.0.1:1", nullptr), (HostPort{"10.0.0.1", 1}));
    EXPECT_EQ(parse_address("[::1]:80", nullptr), (HostPort{"::1", 80}));
    EXPECT_EQ(to_string(HostPort{"::1", 80}), "[::1]:80");
    EXPECT_EQ(to_string(HostPort{"node-1", 8080}), "node-1:8080");
}

TEST(Address, listener_may_leave_out_the_host_and_the_choice_of_port) {
    EXPECT_EQ(parse_listen_address(":8080", nullptr), (HostPort{"", 8080}));
    EXPECT_EQ(parse_listen_address("127.0.0.1:0", nullptr), (HostPort{"127.0.0.1", 0}));
}

TEST(Address, bad_ones_are_explained) {
    EXPECT_EQ(error_of("node-1"), "bad address \"node-1\": the port is missing; write host:port");
    EXPECT_EQ(error_of(":8080"), "bad address \":8080\": the host is missing; write host:port");
    EXPECT_NE(error_of("node-1:70000").find("up to 65535"), std::string::npos);
    EXPECT_NE(error_of("node-1:").find("number"), std::string::npos);
    EXPECT_NE(error_of("node-1:80x").find("number"), std::string::npos);
    EXPECT_NE(error_of("node-1:-1").find("number"), std::string::npos);
    EXPECT_NE(error_of("node-1:0").find("from 1"), std::string::npos);
    EXPECT_NE(error_of("::1:80").find("[::1]:8080"), std::string::npos);
    EXPECT_NE(error_of("[::1]").find("[::1]:8080"), std::string::npos);
    EXPECT_NE(error_of("[node]:80").find("not an IPv6 address"), std::string::npos);
    EXPECT_NE(error_of("a b:80").find("characters"), std::string::npos);
    EXPECT_NE(error_of(std::string(300, 'a') + ":80").find("too long"), std::string::npos);
    EXPECT_NE(error_of("").find("missing"), std::string::npos);
    EXPECT_EQ(error_of("\x1b[31m").find('\x1b'), std::string::npos);
}

TEST(Address, numeric_ones_need_no_resolving) {
    EXPECT_EQ(to_string(*numeric_address({"10.1.2.3", 99})), "10.1.2.3:99");
    EXPECT_EQ(to_string(*numeric_address({"fe80::1", 99})), "[fe80::1]:99");
    EXPECT_FALSE(numeric_address({"localhost", 99}));
}

}  // namespace
}  // namespace sandstore
