"""Binaries of several build profiles, linked from one set of objects: what was not chosen is not in them, and each does
what it is for."""
import http.client
import json
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
import harness  # noqa: E402
from harness import ClusterTest, clean_environment, lines_with, run, wait_until  # noqa: E402

PROFILES = ["default-etcd", "static", "single-node", "http-etcd", "minimal", "memory"]
# What only the code of a module says, in symbols and in strings. Each is looked for in both directions.
SYMBOLS = {
    "DISCOVERY=etcd": ["sandstore::EtcdPoller::", "sandstore::HttpClient::", "sandstore::MemberWriter::",
                       "curl_multi_"],
    "REPLICATOR=raft": ["sandstore::RaftCore::", "sandstore::RaftNode::", "sandstore::cluster_recover("],
    "CHUNK_STORE=memory": ["sandstore::MemoryPort::", "sandstore::MemoryFiles::"],
    "COMMUNICATOR=http": ["sandstore::HttpWire::"],
    "TRACE=on": ["sandstore::FlightRecorder::", "sandstore::TraceWriter::", "sandstore::TraceReader::",
                 "sandstore::TraceRecorder::", "sandstore::trace_command("],
    "TOOLS=all": ["sandstore::backup_command(", "sandstore::bench_command(", "sandstore::demo_command(",
                  "sandstore::doctor_command(", "sandstore::top_command("],
}
STRINGS = {
    "DISCOVERY=etcd": [b"etcd would have little else to do"],
    "COMMUNICATOR=http": [b"/v1/envelopes"],
    "CHUNK_STORE=memory": [b"File data is in memory only"],
    "TRACE=on": [b"flight recording: "],
}


def binary(profile, name="sandstore"):
    return os.path.join(harness.BINARY_DIR, "profiles", profile, name)


def output(*command, expected=0):
    done = run(list(command))
    assert done.returncode == expected, (command, done.returncode, done.stderr)
    return (done.stdout if expected == 0 else done.stderr).decode()


def modules(profile):
    facts = json.loads(output(binary(profile), "version", "--json"))
    return [f"{option}={value}" for option, value in facts["modules"].items()]


def node_flags(profile):
    return set(re.findall(r"^  --(?:\[no-\])?([a-z-]+)", output(binary(profile), "node", "--help"), re.M))


class Contents(unittest.TestCase):
    def test_what_was_chosen_is_there_and_nothing_else(self):
        for profile in PROFILES:
            chosen = modules(profile)
            symbols = subprocess.run(["nm", "-C", binary(profile)], check=True, capture_output=True, text=True).stdout
            with open(binary(profile), "rb") as file:
                content = file.read()
            for module, names in SYMBOLS.items():
                for name in names:
                    self.assertEqual(name in symbols, module in chosen, f"{name} in {profile}")
            for module, texts in STRINGS.items():
                for text in texts:
                    self.assertEqual(text in content, module in chosen, f"{text} in {profile}")

    def test_only_etcd_needs_libcurl(self):
        for profile in PROFILES:
            needed = subprocess.run(["readelf", "-d", binary(profile)], check=True, capture_output=True).stdout
            self.assertEqual(b"libcurl" in needed, "DISCOVERY=etcd" in modules(profile), profile)

    def test_each_module_left_out_makes_it_smaller(self):
        def stripped_size(profile):
            sections = subprocess.run(["size", "-B", binary(profile)], check=True, capture_output=True, text=True)
            return sum(int(word) for word in sections.stdout.splitlines()[1].split()[:2])
        sizes = [stripped_size(profile) for profile in ["minimal", "single-node", "static", "default-etcd"]]
        self.assertEqual(sizes, sorted(set(sizes)), "minimal < single-node < static < default-etcd")

    def test_version_says_what_it_was_made_of(self):
        facts = json.loads(output(binary("minimal"), "version", "--json"))
        self.assertEqual(facts["profile"], "minimal")
        self.assertEqual(facts["modules"], {"COMMUNICATOR": "tcp", "DISCOVERY": "static", "REPLICATOR": "noop",
                                            "CHUNK_STORE": "disk", "TRACE": "off", "TOOLS": "basic"})
        self.assertIn("profile static with CHUNK_STORE=memory", output(binary("memory"), "version"))


class Flags(unittest.TestCase):
    def test_flags_of_modules_left_out_do_not_exist_and_say_why(self):
        all_flags = set.union(*(node_flags(profile) for profile in PROFILES))
        for profile in PROFILES:
            absent = all_flags - node_flags(profile)
            self.assertTrue(absent)
            for flag in absent:
                said = output(binary(profile), "node", "--node-id=n", f"--{flag}=1", expected=2)
                self.assertRegex(said, rf"--{flag} needs [A-Z_]+=\w+; this build has \w+\n", profile)

    def test_commands_of_modules_left_out_do_not_exist_and_say_why(self):
        self.assertEqual(output(binary("minimal"), "trace", "print", "x", expected=2),
                         "sandstore: trace needs TRACE=on; this build has off\n")
        self.assertEqual(output(binary("static"), "cluster", "init", expected=2),
                         "sandstore: cluster init needs DISCOVERY=etcd; this build has static\n")
        self.assertNotIn("trace", output(binary("minimal"), "--help"))
        self.assertNotIn("etcd", output(binary("static"), "node", "--help"))

    def test_without_etcd_a_missing_member_list_says_nothing_of_it(self):
        said = output(binary("static"), "node", "--node-id=n", expected=2)
        self.assertIn("give --peers", said)
        self.assertNotIn("etcd", said)

    def test_a_variable_for_a_module_left_out_is_a_warning(self):
        done = run([binary("static"), "node", "--node-id=n"], env=clean_environment(ETCD_ENDPOINTS="etcd:2379"))
        self.assertIn(b"ETCD_ENDPOINTS: --etcd-endpoints needs DISCOVERY=etcd; this build has static", done.stderr)

    def test_the_demo_of_a_build_for_one_node_has_one_node(self):
        self.assertEqual(output(binary("single-node"), "demo", "--nodes=3", expected=2),
                         "sandstore demo: --nodes=3 needs REPLICATOR=raft; this build has noop\n")


class Running(ClusterTest):
    def use(self, profile):
        for name, path in [("SANDSTORE", binary(profile)), ("SMOKE", binary(profile, "smoke"))]:
            self.addCleanup(setattr, harness, name, getattr(harness, name))
            setattr(harness, name, path)

    def smoke(self, cluster):
        done = run([harness.SMOKE], env=clean_environment(SANDSTORE_SERVERS=cluster.servers()), timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout.decode() + done.stderr.decode())
        self.assertTrue(done.stdout.rstrip().endswith(b"SMOKE OK"))

    def test_a_static_build_makes_a_cluster(self):
        self.use("static")
        self.smoke(self.cluster().start())

    def test_a_minimal_build_keeps_files(self):
        self.use("minimal")
        cluster = self.cluster(size=1).start()
        self.smoke(cluster)
        cluster.put("/kept", b"kept")
        cluster.nodes[0].kill()
        cluster.start()
        self.assertEqual(cluster.cat("/kept"), b"kept")

    def test_over_http_the_cluster_works_and_survives_its_leader(self):
        self.use("http-etcd")
        cluster = self.cluster().start()
        self.smoke(cluster)
        content = os.urandom(20_000_000)
        cluster.put("/large", content)
        cluster.await_leader().kill()
        self.assertEqual(cluster.cat("/large"), content)
        cluster.put("/after", b"after")
        self.assertEqual(cluster.cat("/after"), b"after")

    def test_over_http_strangers_are_answered_and_harm_nobody(self):
        self.use("http-etcd")
        cluster = self.cluster(size=1).start()
        cluster.await_leader()
        for method, path, expected in [("GET", "/", 404), ("GET", "/v1/envelopes", 405), ("POST", "/other", 404)]:
            connection = http.client.HTTPConnection(cluster.nodes[0].address, timeout=10)
            connection.request(method, path, body=b"" if method == "POST" else None)
            self.assertEqual(connection.getresponse().status, expected)
            connection.close()
        connection = http.client.HTTPConnection(cluster.nodes[0].address, timeout=10)
        connection.request("POST", "/v1/envelopes", body=b"")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b""))
        cluster.put("/still", b"here")
        self.assertEqual(cluster.cat("/still"), b"here")

    def test_chunks_in_memory_come_back_from_the_others(self):
        self.use("memory")
        cluster = self.cluster().start()
        cluster.await_leader()
        for number in range(5):
            cluster.put(f"/{number}", bytes([number]) * 200_000)

        def chunks():
            return {node["id"]: node["chunks"] for node in cluster.status()["nodes"] if node["up"]}
        wait_until("every node has every chunk", lambda: list(chunks().values()) == [5, 5, 5])
        restarted = next(node for node in cluster.nodes if node is not cluster.leader())
        self.assertTrue(lines_with(restarted.log(), "warning.*File data is in memory only"), restarted.log())
        restarted.kill()
        restarted.start()
        wait_until("the node has its chunks again", lambda: chunks().get(restarted.node_id) == 5, 60)
        for node in cluster.nodes:
            self.assertFalse(os.path.exists(f"{node.data_dir}/chunks"), "nothing of them is on disk")

    def test_chunks_in_memory_are_bounded(self):
        self.use("memory")
        cluster = self.cluster(size=1, replicator="noop", **{"chunk-memory": "1MiB"}).start()
        cluster.await_leader()
        cluster.put("/small", b"s" * 500_000)
        done = cluster.sandstore("fs", "put", "-", "/large", input=b"l" * 900_000)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)
        self.assertEqual(cluster.cat("/small"), b"s" * 500_000)
        self.assertTrue(lines_with(cluster.nodes[0].log(), "warning.*no other node has a copy"))


if __name__ == "__main__":
    unittest.main()
