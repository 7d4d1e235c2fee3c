"""GET /metrics of real nodes: well-formed, as docs/metrics.md says, and enough for every dashboard and alert. The last
is asked of a real Prometheus, which reads our configuration and rules and scrapes the nodes."""
import json
import re
import shutil
import subprocess
import unittest
import urllib.parse

import exposition
import harness
import monitoring_files as files
from harness import ClusterTest, Process, free_port, http_get, wait_until

# Their series come with the first event of a kind, and nothing of the kind need happen here.
MAY_BE_EMPTY = {
    "sandstore_messages_dropped_total", "sandstore_messages_unexpected_total", "sandstore_actor_restarts_total",
    "sandstore_net_undeliverable_total", "sandstore_net_refused_total", "sandstore_net_bad_frames_total",
}
# Not even known before that.
MAY_BE_ABSENT = {"sandstore_messages_unexpected_total",
                 "sandstore_chunk_memory_used_bytes"}  # Of builds that keep chunks in memory.


class Prometheus(Process):
    def __init__(self, program, cluster):
        folder = f"{cluster.folder}/prometheus"
        shutil.copytree(files.MONITORING, folder)
        self.cluster, self.address = cluster, f"127.0.0.1:{free_port()}"
        with open(f"{folder}/prometheus.yml") as file:
            config = file.read()
        targets = json.dumps([f"127.0.0.1:{node.http_port}" for node in cluster.nodes])
        config, replaced = re.subn(r"targets: \[.*\]", f"targets: {targets}", config)
        assert replaced == 1, config
        config = re.sub(r"(scrape|evaluation)_interval: \w+", r"\1_interval: 1s", config)
        with open(f"{folder}/prometheus.yml", "w") as file:
            file.write(config)
        super().__init__("prometheus", [program, f"--config.file={folder}/prometheus.yml",
                                        f"--storage.tsdb.path={folder}/data", f"--web.listen-address={self.address}",
                                        "--log.level=warn"], f"{cluster.folder}/prometheus.log")

    def query(self, expression):
        """The series of an instant query: [(labels, value)]."""
        question = urllib.parse.urlencode({"query": expression})
        code, body = http_get(f"http://{self.address}/api/v1/query?{question}", timeout=harness.PATIENCE_S)
        answer = json.loads(body)
        assert code == 200 and answer["status"] == "success", f"{expression}: {body.decode()}"
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, data["result"][1])]
        return [(one["metric"], one["value"][1]) for one in data["result"]]


class Metrics(ClusterTest):
    def used_cluster(self):
        """Everything has happened that a metric tells of, failures left out."""
        cluster = self.cluster(etcd=True)
        cluster.etcd.start()
        nodes = ",".join(f"{node.node_id}={node.address}" for node in cluster.nodes)
        done = cluster.sandstore("cluster", "init", f"--etcd-endpoints={cluster.etcd.endpoint}", f"--nodes={nodes}")
        self.assertEqual(done.returncode, 0, done.stderr)
        cluster.start()
        cluster.await_leader()
        self.use(cluster)
        for node in cluster.nodes:
            done = cluster.sandstore("cluster", "snapshot", node.node_id)
            self.assertEqual(done.returncode, 0, done.stderr)
        cluster.await_caught_up()
        wait_until("every node has compared its chunks with the namespace",
                   lambda: all(self.value(node, "sandstore_repair_rounds_total") for node in cluster.nodes))
        wait_until("every node has asked etcd and knows its free space",
                   lambda: all(self.value(node, "sandstore_store_total_bytes") and
                               self.value(node, "sandstore_etcd_connected") for node in cluster.nodes))
        wait_until("the leader knows its peers",
                   lambda: "sandstore_raft_peer_lag_entries{" in self.text(cluster.leader()))
        wait_until("every node has told of its chunks", lambda: all(
            self.value(node, "sandstore_store_bytes") >= 200_000 for node in cluster.nodes))
        return cluster

    def use(self, cluster):
        cluster.put("/kept", b"kept" * 50_000)
        self.assertEqual(cluster.cat("/kept"), b"kept" * 50_000)
        cluster.fs("ls", "/")
        cluster.put("/gone", b"gone")
        cluster.fs("rm", "/gone")

    def text(self, node):
        if node is None:
            return ""
        code, body = node.get("/metrics")
        self.assertEqual(code, 200)
        return body.decode()

    def value(self, node, name):
        """The sum over a metric's series; None without any."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.text(node), re.M)
        return sum(map(float, found)) if found else None

    def check_promtool(self, text):
        promtool = files.tool("promtool")
        if promtool is None:
            return
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_the_answer_is_well_formed_and_documented(self):
        cluster = self.used_cluster()
        documented, seen = files.documented(), set()
        for node in cluster.nodes:
            text = self.text(node)
            families, faults = exposition.parse(text)
            self.assertEqual(faults, [], node.node_id)
            self.check_promtool(text)
            self.assertEqual(sorted(set(families) - set(documented)), [], "docs/metrics.md lacks them")
            seen |= set(families)
            for name, family in families.items():
                kind, labels = documented[name]
                self.assertEqual(family.type, kind, name)
                if family.samples:
                    self.assertEqual(family.labels(), labels, name)
                elif name not in MAY_BE_EMPTY and not name.startswith("sandstore_raft_peer"):
                    self.fail(f"{name} has no series on {node.node_id}")
        self.assertEqual(set(documented) - seen - MAY_BE_ABSENT, set(), "documented, but no node has them")
        self.check_values(cluster)

    def check_values(self, cluster):
        """The figures are those of the cluster."""
        leader = cluster.await_leader()
        for node in cluster.nodes:
            self.assertEqual(self.value(node, "sandstore_raft_voters"), 3)
            self.assertEqual(self.value(node, "sandstore_peers_connected"), 2)
            self.assertEqual(self.value(node, "sandstore_raft_has_leader"), 1)
            self.assertEqual(self.value(node, "sandstore_raft_is_leader"), 1 if node is leader else 0)
            self.assertGreater(self.value(node, "sandstore_wal_fsync_duration_seconds_count"), 0)
            self.assertGreater(self.value(node, "sandstore_fsm_apply_duration_seconds_count"), 0)
            self.assertGreaterEqual(self.value(node, "sandstore_snapshot_save_duration_seconds_count"), 1)
            self.assertGreater(self.value(node, "process_resident_memory_bytes"), 1_000_000)
            self.assertGreater(self.value(node, "process_open_fds"), 3)
        self.assertGreaterEqual(self.value(leader, "sandstore_raft_elections_total"), 1)
        self.assertGreater(self.value(leader, "sandstore_raft_peer_rtt_seconds_count"), 0)
        labels = 'api="files",op="commit_extents",code="ok"'  # It makes the file, too.
        written = re.findall(rf"^sandstore_request_duration_seconds_count{{{labels}}} (\d+)$", self.text(leader), re.M)
        self.assertEqual(len(written), 1)
        self.assertGreaterEqual(int(written[0]), 2)

    def test_a_follower_that_goes_away_shows_on_the_leader(self):
        cluster = self.cluster().start()
        leader = cluster.await_leader()
        cluster.put("/kept", b"kept")
        cluster.await_caught_up()
        follower = next(node for node in cluster.nodes if node is not leader)
        follower.kill()
        wait_until("the leader misses a peer", lambda: self.value(leader, "sandstore_peers_connected") == 1)
        cluster.put("/more", b"more")
        wait_until("its lag is seen", lambda: re.search(
            rf'^sandstore_raft_peer_lag_entries{{peer="{follower.node_id}"}} [1-9]', self.text(leader), re.M))

    def test_every_dashboard_and_rule_finds_its_data(self):
        program = files.tool("prometheus")
        if program is None:
            raise unittest.SkipTest("prometheus is not installed")
        cluster = self.used_cluster()
        prometheus = Prometheus(program, cluster)
        self.addCleanup(prometheus.kill)
        prometheus.start()
        wait_until("Prometheus is ready", lambda: http_get(f"http://{prometheus.address}/-/ready")[0] == 200)
        wait_until("every node was scraped several times", lambda: len(
            [1 for _, count in prometheus.query('count_over_time(up{job="sandstore"}[5m])') if int(count) >= 3]) == 3)
        self.use(cluster)
        known = files.documented()
        for where, expression in files.dashboard_expressions():
            families = {files.family_of(name, known) for name in files.METRIC_NAME.findall(expression)}
            if not families & MAY_BE_EMPTY:
                wait_until(f"{where}: {expression} has data", lambda: prometheus.query(expression))
            else:
                prometheus.query(expression)  # It is understood, at least.
        for name in files.rules(files.RECORDING_RULES):
            if name != "sandstore:request_failures:rate5m":  # Without failures there is nothing to record.
                wait_until(f"{name} is recorded", lambda: prometheus.query(name))
        for where, expression in files.rule_expressions():
            prometheus.query(expression)
            self.check_selectors(prometheus, where, expression, known)
        cluster.nodes[0].kill()
        down = files.rules(files.ALERT_RULES)["SandstoreNodeDown"]["expr"]
        wait_until("the node that was killed is seen as down", lambda: [
            labels["instance"] for labels, _ in prometheus.query(down)] == [f"127.0.0.1:{cluster.nodes[0].http_port}"])

    def check_selectors(self, prometheus, where, expression, known):
        """What an alert looks at is there although nothing is wrong: each metric, with each label that is asked for."""
        for name, matchers in files.SELECTOR.findall(expression):
            if files.family_of(name, known) in MAY_BE_EMPTY:
                continue
            series = prometheus.query(name)
            self.assertTrue(series, f"{where}: nothing has {name}")
            for label in re.findall(r"(\w+)\s*[=!]", matchers):
                self.assertTrue(all(label in labels for labels, _ in series), f"{where}: {name} has no {label}")


if __name__ == "__main__":
    harness.main()
