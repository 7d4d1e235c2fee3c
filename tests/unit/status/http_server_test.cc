#include "services/status/http_server.h"

#include <gtest/gtest.h>
#include <json/json.h>

#include "runtime/random.h"
#include "services/status/status_json.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

pb::ClusterStatus healthy() {
    pb::ClusterStatus status;
    status.set_cluster_id("cluster-a");
    status.set_leader_id("node-1");
    status.set_term(3);
    pb::NodeStatus* node = status.add_nodes();
    node->set_id("node-1");
    node->set_address("node-1:8080");
    node->set_http_address("node-1:9400");
    node->set_zone("a");
    node->set_up(true);
    node->set_version("0.1.0");
    node->set_uptime_us(12'345'678);
    node->mutable_raft()->set_role(pb::RoleChanged::LEADER);
    node->mutable_raft()->set_term(3);
    node->mutable_raft()->set_leader_id("node-1");
    node->mutable_raft()->set_commit_index(5000);
    node->mutable_raft()->set_applied_index(4500);
    node->mutable_raft()->set_last_index(5001);
    node->mutable_chunks()->set_chunk_count(7);
    node->mutable_copies_report()->set_rounds(1);
    node->mutable_chunks()->set_chunk_bytes(uint64_t{1} << 40);
    node->mutable_chunks()->set_volumes(3);
    node->mutable_chunks()->set_garbage_bytes(uint64_t{1} << 33);
    return status;
}

struct Web {
    explicit Web(HttpServerOptions options = {})
        : server(
              loop.base(), host, "node-1",
              [this](pb::ClusterStatusRequest question, StatusDone done) {
                  asked_local.push_back(question.local());
                  asked.push_back(std::move(question));
                  if (silent) {
                      waiting.push_back(std::move(done));
                  } else if (error.empty()) {
                      done(&status, "");
                  } else {
                      done(nullptr, error);
                  }
              },
              options) {
        EXPECT_EQ(server.listen("127.0.0.1:0"), "");
    }

    // Everything that comes back until the server closes.
    std::string raw(const std::string& bytes) {
        RawSocket socket(server.port());
        socket.send(bytes);
        EXPECT_TRUE(loop.until([&] { return socket.closed(); })) << bytes.substr(0, 80);
        return socket.received();
    }
    std::string get(const std::string& path, const std::string& method = "GET") {
        return raw(method + " " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
    }

    TestLoop loop;
    FakeHost host;
    pb::ClusterStatus status = healthy();
    std::string error;
    bool silent = false;
    std::vector<bool> asked_local;
    std::vector<pb::ClusterStatusRequest> asked;
    std::vector<StatusDone> waiting;
    HttpServer server;
};

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

std::string body_of(const std::string& response) {
    return response.substr(response.find("\r\n\r\n") + 4);
}

TEST(HttpServer, livez_answers_whatever_the_node_does) {
    Web web;
    web.error = "nothing works";
    const std::string response = web.get("/livez");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << response;
    EXPECT_EQ(body_of(response), "ok\n");
    EXPECT_TRUE(has(response, "X-Content-Type-Options: nosniff"));
    EXPECT_TRUE(has(response, "Cache-Control: no-store"));
}

TEST(HttpServer, answers_are_dated_by_the_wall_clock) {
    Web web;
    EXPECT_TRUE(has(web.get("/livez"), "\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
}

TEST(HttpServer, readyz_asks_for_the_local_status_and_is_ok_with_a_leader) {
    Web web;
    EXPECT_EQ(body_of(web.get("/readyz")), "ok\n");
    EXPECT_EQ(web.asked_local, std::vector<bool>{true});
    const std::string verbose = web.get("/readyz?verbose");
    EXPECT_TRUE(
        has(verbose,
            "[+] leader: node-1\n[+] acknowledged: it leads\n[+] applied: applied 4500 of 5000 committed\n[+] disk: "
            "ok\n[+] chunks: "
            "ok\n[+] deletions: ok\nready\n"))
        << verbose;
}

TEST(HttpServer, readyz_gives_the_reason_when_not_ready) {
    Web web;
    web.status.mutable_nodes(0)->mutable_raft()->set_applied_index(3999);
    std::string response = web.get("/readyz");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 503 "));
    EXPECT_EQ(body_of(response), "applied 3999 of 5000 committed\n");

    web.status.mutable_nodes(0)->mutable_raft()->clear_leader_id();
    EXPECT_EQ(body_of(web.get("/readyz")), "no leader is known\n");
    EXPECT_TRUE(has(web.get("/readyz?verbose=1"), "[-] leader: no leader is known\n"));

    web.status.mutable_nodes(0)->set_up(false);
    web.status.mutable_nodes(0)->set_detail("waiting for etcd");
    EXPECT_EQ(body_of(web.get("/readyz")), "waiting for etcd\n");

    web.error = "the status service does not answer";
    EXPECT_EQ(body_of(web.get("/readyz")), "the status service does not answer\n");
}

TEST(HttpServer, a_path_of_its_own_is_asked_with_get_and_post) {
    Web web;
    EXPECT_TRUE(web.get("/debug/faults").starts_with("HTTP/1.1 404 "));
    std::vector<std::string> heard;
    web.server.add_handler("/debug/faults", [&](bool post, std::string_view body) {
        heard.push_back((post ? "POST " : "GET ") + std::string(body));
        return HttpAnswerText{post ? 400 : 200, kJsonType, "{}\n"};
    });
    EXPECT_EQ(body_of(web.get("/debug/faults")), "{}\n");
    const std::string refused =
        web.raw("POST /debug/faults HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n{\"a\"}");
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 400 ")) << refused;
    EXPECT_EQ(heard, (std::vector<std::string>{"GET ", "POST {\"a\"}"}));
    EXPECT_TRUE(web.get("/debug/faults", "DELETE").starts_with("HTTP/1.1 405 "));
    EXPECT_EQ(heard.size(), 2u);
}

TEST(HttpServer, status_is_the_documented_json) {
    Web web;
    const std::string response = web.get("/status");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(has(response, "Content-Type: application/json"));
    EXPECT_EQ(web.asked_local, std::vector<bool>{false});
    Json::Value json;
    std::istringstream text(body_of(response));
    text >> json;
    EXPECT_EQ(json["cluster_id"], "cluster-a");
    EXPECT_EQ(json["leader"], "node-1");
    EXPECT_EQ(json["term"].asUInt64(), 3u);
    const Json::Value& node = json["nodes"][0];
    EXPECT_EQ(node["id"], "node-1");
    EXPECT_EQ(node["role"], "leader");
    EXPECT_EQ(node["up"], true);
    EXPECT_EQ(node["commit_index"].asUInt64(), 5000u);
    EXPECT_EQ(node["applied_index"].asUInt64(), 4500u);
    EXPECT_EQ(node["last_index"].asUInt64(), 5001u);
    EXPECT_EQ(node["chunk_bytes"].asUInt64(), uint64_t{1} << 40);
    EXPECT_EQ(node["volumes"].asUInt64(), 3u);
    EXPECT_EQ(node["garbage_bytes"].asUInt64(), uint64_t{1} << 33);
    EXPECT_EQ(node["uptime_seconds"].asUInt64(), 12u);
    for (const char* name :
         {"address", "http_address", "zone", "term", "chunks", "disk_free_bytes", "version", "detail"}) {
        EXPECT_TRUE(node.isMember(name)) << name;
    }
}

TEST(HttpServer, status_without_a_leader_has_null) {
    pb::ClusterStatus status;
    status.add_nodes()->set_id("node-2");
    const Json::Value json = status_json(status);
    EXPECT_TRUE(json["leader"].isNull());
    EXPECT_EQ(json["nodes"][0]["role"], "unknown");
    EXPECT_EQ(json["nodes"][0]["up"], false);
    EXPECT_FALSE(json["nodes"][0].isMember("state_hash"));
    status.mutable_nodes(0)->set_state_hash(0xabcull);
    status.mutable_nodes(0)->set_state_hash_index(9);
    EXPECT_EQ(status_json(status)["nodes"][0]["state_hash"], "0000000000000abc");
}

// --- Membership in the status ----------------------------------------------------------------------------------------

pb::NodeStatus* member_line(pb::ClusterStatus* status, const std::string& id, uint64_t configuration_index) {
    pb::NodeStatus* line = status->add_nodes();
    line->set_id(id);
    line->set_up(true);
    line->mutable_raft()->set_first_index(1);
    line->mutable_raft()->set_configuration_index(configuration_index);
    for (const char* voter : {"node-1", "node-2"}) {
        line->mutable_raft()->add_voters(voter);
        line->mutable_raft()->mutable_configuration()->add_voters(voter);
    }
    line->mutable_raft()->mutable_configuration()->add_learners("node-3");
    return line;
}

TEST(HttpServer, roles_tell_learners_removed_and_waiting_nodes_apart) {
    pb::ClusterStatus status;
    EXPECT_EQ(role_name(*member_line(&status, "node-1", 5)), "follower");
    EXPECT_EQ(role_name(*member_line(&status, "node-3", 5)), "learner");
    pb::NodeStatus* removed = member_line(&status, "node-9", 5);
    removed->mutable_raft()->set_removed(true);
    EXPECT_EQ(role_name(*removed), "removed");
    pb::NodeStatus waiting;
    waiting.set_up(true);
    waiting.mutable_raft()->set_first_index(1);
    EXPECT_EQ(role_name(waiting), "waiting");
    waiting.mutable_raft()->set_first_index(0);
    EXPECT_EQ(role_name(waiting), "follower") << "it has only just started";
}

TEST(HttpServer, status_has_the_configuration_as_the_leader_knows_it_or_else_the_newest) {
    pb::ClusterStatus status;
    EXPECT_TRUE(status_json(status)["configuration"].isNull());
    member_line(&status, "node-1", 5);
    pb::NodeStatus* newest = member_line(&status, "node-2", 9);
    newest->mutable_raft()->mutable_configuration()->add_old_voters("node-1");
    Json::Value json = status_json(status)["configuration"];
    EXPECT_EQ(json["index"].asUInt64(), 9u);
    EXPECT_TRUE(json["joint"].asBool());
    EXPECT_EQ(json["old_voters"][0], "node-1");
    EXPECT_EQ(json["learners"][0], "node-3");
    status.set_leader_id("node-1");
    json = status_json(status)["configuration"];
    EXPECT_EQ(json["index"].asUInt64(), 5u);
    EXPECT_FALSE(json["joint"].asBool());
    EXPECT_EQ(json["voters"].size(), 2u);
}

TEST(HttpServer, status_of_the_leader_says_how_far_each_peer_is) {
    pb::ClusterStatus status;
    pb::NodeStatus* leader = member_line(&status, "node-1", 5);
    leader->mutable_raft()->set_snapshot_index(4);
    leader->mutable_raft()->set_disk_full(true);
    leader->mutable_raft()->set_transferring_to("node-2");
    pb::RaftPeerStatus* peer = leader->mutable_raft()->add_peers();
    peer->set_node_id("node-3");
    peer->set_learner(true);
    peer->set_state(pb::RaftPeerStatus::SNAPSHOT);
    peer->set_snapshot_sent_bytes(10);
    peer->set_snapshot_bytes(40);
    const Json::Value json = status_json(status)["nodes"][0];
    EXPECT_EQ(json["snapshot_index"].asUInt64(), 4u);
    EXPECT_TRUE(json["disk_full"].asBool());
    EXPECT_FALSE(json["disk_slow"].asBool());
    EXPECT_EQ(json["transferring_to"], "node-2");
    EXPECT_EQ(json["peers"][0]["state"], "snapshot");
    EXPECT_EQ(json["peers"][0]["snapshot_bytes"].asUInt64(), 40u);
    EXPECT_TRUE(json["peers"][0]["learner"].asBool());
}

TEST(HttpServer, status_that_cannot_be_had_is_503_with_the_reason) {
    Web web;
    web.error = "no \"answer\"";
    const std::string response = web.get("/status");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 503 "));
    EXPECT_EQ(body_of(response), "{\"error\": \"no \\\"answer\\\"\"}\n");
}

TEST(HttpServer, metrics_are_in_prometheus_format) {
    Web web;
    web.host.metrics().counter("sandstore_test_total", "A test.").add(5);
    const std::string response = web.get("/metrics");
    EXPECT_TRUE(has(response, "Content-Type: text/plain; version=0.0.4"));
    EXPECT_TRUE(has(response, "# TYPE sandstore_test_total counter\nsandstore_test_total 5\n"));
}

TEST(HttpServer, other_paths_and_methods_are_errors_in_json) {
    Web web;
    EXPECT_TRUE(web.get("/nothing").starts_with("HTTP/1.1 404 "));
    EXPECT_TRUE(web.get("/livez/").starts_with("HTTP/1.1 404 "));
    EXPECT_TRUE(web.get("/../etc/passwd").starts_with("HTTP/1.1 404 "));
    EXPECT_TRUE(has(web.get("/nothing"), "{\"error\": \"not found"));
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
        const std::string response = web.raw(std::string(method) + " /livez HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        EXPECT_TRUE(response.starts_with("HTTP/1.1 405 ")) << method << response;
        EXPECT_TRUE(has(response, "Allow: GET, HEAD"));
    }
}

TEST(HttpServer, head_has_headers_only) {
    Web web;
    const std::string response = web.get("/livez", "HEAD");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << response;
    EXPECT_TRUE(has(response, "Content-Length: 3"));
    EXPECT_EQ(body_of(response), "");
}

TEST(HttpServer, junk_is_closed_and_others_are_served) {
    Web web;
    RandomStream random(5, 5);
    for (int run = 0; run < 100; run++) {
        std::string bytes(1 + random.below(2000), '\0');
        for (char& byte : bytes) byte = static_cast<char>(random.next());
        if (run % 4 == 1) bytes = "GET " + bytes;
        if (run % 4 == 2) bytes = "GET /status HTTP/1.1\r\n" + bytes;
        if (run % 4 == 3) bytes = "GET /livez HTTP/9.9\r\n\r\n" + bytes;
        RawSocket socket(web.server.port());
        socket.send(bytes);
        socket.finish_sending();
        ASSERT_TRUE(web.loop.until([&] { return socket.closed(); })) << "run " << run;
    }
    EXPECT_TRUE(web.get("/livez").starts_with("HTTP/1.1 200 "));
}

TEST(HttpServer, oversized_headers_and_bodies_are_refused) {
    Web web;
    const std::string large_header = "GET /livez HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n";
    EXPECT_FALSE(has(web.raw(large_header), " 200 "));
    const std::string large_line = "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n";
    EXPECT_FALSE(has(web.raw(large_line), " 200 "));
    const std::string large_body = "POST /livez HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n";
    EXPECT_FALSE(has(web.raw(large_body), " 200 "));
    EXPECT_TRUE(web.get("/livez").starts_with("HTTP/1.1 200 "));
}

TEST(HttpServer, slow_clients_are_closed_and_others_are_served_meanwhile) {
    Web web(HttpServerOptions{.timeout_us = 200'000});
    RawSocket silent(web.server.port()), halfway(web.server.port());
    halfway.send("GET /livez HT");
    EXPECT_TRUE(web.get("/livez").starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(web.loop.until([&] { return silent.closed() && halfway.closed(); }));
}

TEST(HttpServer, those_who_only_connect_lock_nobody_out) {
    Web web(HttpServerOptions{.timeout_us = 3600ull * 1'000'000, .connections_max = 4});
    std::vector<std::unique_ptr<RawSocket>> silent;
    for (int i = 0; i < 4; i++) silent.push_back(std::make_unique<RawSocket>(web.server.port()));
    // It waits until the others are no longer too young to be called idle, and is not refused meanwhile.
    EXPECT_TRUE(web.get("/livez").starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(web.host.counter("sandstore_net_refused_total", "reason", "too_many_http_connections"), 0u);
    EXPECT_TRUE(web.loop.until([&] { return silent[0]->closed(); }));
    EXPECT_FALSE(silent[3]->closed());
}

TEST(HttpServer, a_request_that_comes_drop_by_drop_has_one_deadline) {
    Web web(HttpServerOptions{.timeout_us = 200'000});
    RawSocket slow(web.server.port());
    slow.send("GET /livez HTTP/1.1\r\nX-Slow: ");
    int drops = 0;
    EXPECT_TRUE(web.loop.until([&] {
        if (++drops < 4000) slow.send("a");  // Less than a head may have.
        return slow.closed();
    }));
    EXPECT_EQ(slow.received(), "");
}

TEST(HttpServer, sockets_stay_below_the_numbers_that_belong_to_the_disk) {
    HttpServerOptions options;
    options.accepted_below = 0;
    Web web(options);
    EXPECT_EQ(web.get("/livez"), "");
    EXPECT_EQ(web.host.counter("sandstore_net_refused_total", "reason", "no_descriptors"), 1u);
}

TEST(HttpServer, a_client_that_leaves_before_the_answer_harms_nobody) {
    Web web;
    web.silent = true;
    {
        RawSocket impatient(web.server.port());
        impatient.send("GET /status HTTP/1.1\r\n\r\nGET /status HTTP/1.1\r\n\r\n");
        ASSERT_TRUE(web.loop.until([&] { return web.waiting.size() == 1; }));
    }
    web.loop.turn();
    web.loop.turn();
    web.waiting[0](&web.status, "");
    web.waiting[0](&web.status, "");  // Twice: the second one finds nobody.
    web.silent = false;
    EXPECT_TRUE(web.get("/livez").starts_with("HTTP/1.1 200 "));
}

TEST(HttpServer, questions_are_bounded_and_survive_the_server) {
    HttpServerOptions options;
    options.questions_max = 2;
    auto web = std::make_unique<Web>(options);
    web->silent = true;
    RawSocket first(web->server.port()), second(web->server.port());
    first.send("GET /status HTTP/1.1\r\n\r\n");
    second.send("GET /readyz HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(web->loop.until([&] { return web->waiting.size() == 2; }));
    EXPECT_TRUE(web->get("/status").starts_with("HTTP/1.1 503 "));
    const StatusDone late = std::move(web->waiting[0]);
    web.reset();
    late(nullptr, "too late");
}

TEST(HttpServer, a_check_can_be_left_out_and_an_unknown_one_is_refused) {
    Web web;
    web.status.mutable_nodes(0)->mutable_raft()->clear_leader_id();
    EXPECT_TRUE(web.get("/readyz?exclude=applied").starts_with("HTTP/1.1 503 "));
    EXPECT_EQ(body_of(web.get("/readyz?exclude=leader")), "ok\n");
    const std::string verbose = web.get("/healthz?verbose&exclude=applied&exclude=leader");
    EXPECT_TRUE(verbose.starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(has(verbose, "[-] leader: no leader is known (excluded)\n")) << verbose;
    const size_t asked = web.asked.size();
    EXPECT_TRUE(web.get("/readyz?exclude=leadr").starts_with("HTTP/1.1 400 "));
    EXPECT_EQ(web.asked.size(), asked);
}

TEST(HttpServer, a_node_whose_disk_is_full_or_hangs_is_not_ready) {
    Web web;
    web.status.mutable_nodes(0)->mutable_raft()->set_disk_full(true);
    EXPECT_EQ(body_of(web.get("/readyz")), "the disk is full: no writes\n");
    web.status.mutable_nodes(0)->mutable_raft()->set_disk_full(false);
    web.status.mutable_nodes(0)->mutable_raft()->set_disk_slow(true);
    EXPECT_EQ(body_of(web.get("/readyz")), "the disk does not answer\n");
}

TEST(HttpServer, deletions_that_wait_for_an_operator_are_a_warning) {
    Web web;
    web.status.mutable_nodes(0)->mutable_raft()->add_voters("node-1");
    pb::RepairState* repair = web.status.mutable_nodes(0)->mutable_repair();
    repair->set_deletions_stopped(true);
    repair->set_problem("none of them is deleted");
    EXPECT_EQ(body_of(web.get("/readyz")), "ok\n");
    EXPECT_TRUE(has(web.get("/readyz?verbose"), "[!] deletions: none of them is deleted\nready\n"));
    for (const char* path : {"/health", "/health?maintenance"}) {
        EXPECT_TRUE(has(body_of(web.get(path)), "\nwarning: none of them is deleted\n")) << path;
    }
    EXPECT_TRUE(web.get("/health").starts_with("HTTP/1.1 200 "));
}

TEST(HttpServer, whether_the_node_may_be_stopped_is_200_or_412_with_a_sentence) {
    Web web;
    for (const char* id : {"node-2", "node-3"}) {
        *web.status.add_nodes() = web.status.nodes(0);
        web.status.mutable_nodes(web.status.nodes_size() - 1)->set_id(id);
        web.status.mutable_nodes(web.status.nodes_size() - 1)->mutable_raft()->set_role(pb::RoleChanged::FOLLOWER);
    }
    for (const char* voter : {"node-1", "node-2", "node-3"})
        web.status.mutable_nodes(0)->mutable_raft()->add_voters(voter);
    std::string response = web.get("/health?maintenance");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << response;
    EXPECT_TRUE(body_of(response).starts_with("node-1 may be stopped; it leads")) << response;
    EXPECT_EQ(web.asked_local, std::vector<bool>{false}) << "it takes the whole cluster to tell";
    web.status.mutable_nodes(2)->set_up(false);
    response = web.get("/health?maintenance=true");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 412 ")) << response;
    EXPECT_TRUE(has(response, "node-3 is down\n")) << response;
    EXPECT_TRUE(web.get("/health").starts_with("HTTP/1.1 200 "));
    web.status.clear_leader_id();
    EXPECT_TRUE(web.get("/health").starts_with("HTTP/1.1 503 "));
    web.error = "the status service does not answer";
    EXPECT_TRUE(web.get("/health?maintenance").starts_with("HTTP/1.1 412 "));
    EXPECT_EQ(body_of(web.get("/health")), "the status service does not answer\n");
}

TEST(HttpServer, history_and_events_are_asked_for_within_bounds) {
    Web web;
    web.get("/history?seconds=30");
    EXPECT_EQ(web.asked.back().samples_max(), 30u);
    EXPECT_EQ(web.asked.back().events_max(), 0u);
    web.get("/events?events=12");
    EXPECT_EQ(web.asked.back().samples_max(), 0u);
    EXPECT_EQ(web.asked.back().events_max(), 12u);
    web.get("/overview");
    EXPECT_EQ(web.asked.back().samples_max(), 300u);
    EXPECT_EQ(web.asked.back().events_max(), 100u);
    web.get("/status");
    EXPECT_EQ(web.asked.back().samples_max(), 0u);
    for (const char* bad : {"/history?seconds=601", "/history?seconds=-1", "/events?events=x",
                            "/events?events=", "/overview?seconds=1&events=99999999999999999999"}) {
        EXPECT_TRUE(web.get(bad).starts_with("HTTP/1.1 400 ")) << bad;
    }
}

Json::Value parsed(const std::string& response) {
    Json::Value json;
    Json::Reader().parse(body_of(response), json);
    return json;
}

TEST(HttpServer, samples_and_events_carry_their_age_and_events_come_newest_first) {
    Web web;
    pb::NodeStatus* node = web.status.mutable_nodes(0);
    node->set_uptime_us(60'000'000);
    pb::NodeSample* sample = node->add_samples();
    sample->set_number(3);
    sample->set_uptime_us(58'500'000);
    sample->mutable_figures()->set_interval_us(500'000);
    sample->mutable_figures()->set_requests(20);
    sample->set_role(pb::RoleChanged::LEADER);
    for (uint64_t i = 1; i <= 2; ++i) {
        pb::NodeEvent* event = node->add_events();
        event->set_number(i);
        event->set_uptime_us(i * 10'000'000);
        event->set_wall_us(1'767'323'045'006'000);
        event->set_kind(i == 2 ? pb::NodeEvent::LEADS : pb::NodeEvent::STARTED);
        event->set_text("says \"<b>hello</b>\"");
    }
    const Json::Value overview = parsed(web.get("/overview"));
    EXPECT_EQ(overview["self"], "node-1");
    EXPECT_EQ(overview["status"]["leader"], "node-1");
    const Json::Value& columns = overview["history"]["columns"];
    const Json::Value& row = overview["history"]["nodes"][0]["samples"][0];
    ASSERT_EQ(columns.size(), row.size());
    std::map<std::string, Json::Value> values;
    for (Json::ArrayIndex i = 0; i < columns.size(); ++i) values[columns[i].asString()] = row[i];
    EXPECT_EQ(values["age_ms"], 1500);
    EXPECT_EQ(values["requests_per_second"], 40) << "twenty in half a second";
    EXPECT_EQ(values["role"], "leader");
    const Json::Value events = parsed(web.get("/events"))["events"];
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0]["kind"], "leads");
    EXPECT_EQ(events[0]["age_ms"], 40'000);
    EXPECT_EQ(events[0]["time"], "2026-01-02T03:04:05.006Z");
    EXPECT_EQ(events[0]["text"], "says \"<b>hello</b>\"");
    EXPECT_EQ(events[1]["kind"], "started");
}

TEST(HttpServer, the_page_is_served_with_a_strict_policy_and_is_not_sent_twice) {
    Web web;
    for (const char* path : {"/", "/page.css", "/page.js"}) {
        const std::string response = web.get(path);
        EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << path;
        EXPECT_TRUE(has(response, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'"));
        EXPECT_TRUE(has(response, "X-Content-Type-Options: nosniff"));
        EXPECT_TRUE(has(response, "Cache-Control: no-cache"));
        const size_t begin = response.find("ETag: ") + 6;
        const std::string tag = response.substr(begin, response.find('\r', begin) - begin);
        const std::string again =
            web.raw(std::string("GET ") + path + " HTTP/1.1\r\nIf-None-Match: " + tag + "\r\n\r\n");
        EXPECT_TRUE(again.starts_with("HTTP/1.1 304 ")) << again;
        EXPECT_EQ(body_of(again), "");
    }
    const std::string page = body_of(web.get("/"));
    // Nothing inline, which the policy would forbid; the icon is an address of data, with a name space in it.
    for (const char* part : {" style=", "<style", " onclick=", "https://", "src=\"http"}) {
        EXPECT_EQ(page.find(part), std::string::npos) << part;
    }
    EXPECT_EQ(page.find("<script>"), std::string::npos);
    EXPECT_EQ(body_of(web.get("/page.js")).find("innerHTML"), std::string::npos) << "what nodes say goes in as text";
    EXPECT_TRUE(web.asked.empty()) << "the page itself asks nobody";
}

TEST(HttpServer, a_taken_address_is_named) {
    Web web;
    const std::string address = str_cat("127.0.0.1:", web.server.port());
    HttpServer second(web.loop.base(), web.host, "node-1", [](pb::ClusterStatusRequest, StatusDone) {});
    EXPECT_EQ(second.listen(address),
              "cannot listen on " + address + ": the address is already in use by another process");
}

}  // namespace
}  // namespace sandstore
