"""Who is who: etcd late, etcd gone, records that make no sense, and nodes that must refuse to start."""
import json

import harness
from harness import ClusterTest, Node, clean_environment, lines_with, run, wait_until


class Discovery(ClusterTest):
    def init(self, cluster):
        nodes = ",".join(f"{node.node_id}={node.address}" for node in cluster.nodes)
        done = run([harness.SANDSTORE, "cluster", "init", f"--etcd-endpoints={cluster.etcd.endpoint}",
                    f"--nodes={nodes}"])
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def test_etcd_may_come_later_and_go_away(self):
        cluster = self.cluster(etcd=True)
        cluster.start()
        for node in cluster.nodes:
            wait_until(f"{node.name} logs its attempts", lambda: len(lines_with(node.log(), "(?i)etcd")) >= 2)
            self.assertEqual(node.get("/livez")[0], 200)
            self.assertNotEqual(node.get("/readyz")[0], 200)
            self.assertTrue(node.running())

        cluster.etcd.start()
        self.init(cluster)
        cluster.await_leader()
        cluster.put("/before", b"etcd is there")

        cluster.etcd.kill()
        cluster.put("/after", b"etcd is gone")
        follower = next(node for node in cluster.nodes if node is not cluster.leader())
        follower.kill()
        follower.start()
        wait_until("a node starts from the view it kept", follower.ready)
        cluster.await_caught_up()
        self.assertEqual(cluster.cat("/before"), b"etcd is there")
        self.assertEqual(cluster.cat("/after"), b"etcd is gone")

        for node in cluster.nodes:
            node.kill()
        cluster.start()
        cluster.await_leader()
        self.assertEqual(cluster.cat("/after"), b"etcd is gone")

    def test_init_again_changes_nothing(self):
        cluster = self.cluster(etcd=True)
        cluster.etcd.start()
        self.init(cluster)

        def revisions():
            found = json.loads(cluster.etcd.ctl("get", "--prefix", "/sandstore", "-w", "json"))
            return [(kv["key"], kv["mod_revision"]) for kv in found["kvs"]]
        before = revisions()
        self.assertGreaterEqual(len(before), 3)
        self.init(cluster)
        self.assertEqual(before, revisions())

    def test_records_that_make_no_sense_are_named_and_skipped(self):
        cluster = self.cluster(etcd=True)
        cluster.etcd.start()
        bad = {"torn": '{"id":"torn","address":', "empty": "", "foreign": '{"hello":"world"}',
               "other": '{"id":"another","address":"127.0.0.1:1","role":"metadata-raft-member"}',
               "list": "[1,2,3]", "port": '{"id":"port","address":"nowhere","role":"metadata-raft-member"}'}
        for key, value in bad.items():
            cluster.etcd.ctl("put", f"/sandstore/config/nodes/{key}", "--", value)
        self.init(cluster)
        cluster.start()
        cluster.await_leader()
        for key in bad:
            wait_until(f"a warning names {key}", lambda: lines_with(
                cluster.nodes[0].log(), rf" warn.* .*/sandstore/config/nodes/{key}\b"))
        self.assertEqual(len(cluster.status()["nodes"]), 3)
        cluster.put("/works", b"all the same")

    def test_a_second_node_with_the_same_id_is_refused(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        twin = Node(cluster, "node-1")
        twin.data_dir += "-twin"
        twin.log_path += "-twin"
        twin.start()
        self.assertRefused(twin, r"node-1", r"(?i)another|already|other process")
        self.assertTrue(cluster.nodes[0].running())
        cluster.put("/works", b"all the same")

    def test_an_id_that_is_not_in_the_member_list_is_refused(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        stranger = Node(cluster, "node-9").start()
        self.assertRefused(stranger, r"node-9")

    def test_the_data_directory_of_another_node_is_refused(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        first, second = cluster.nodes[0], cluster.nodes[1]
        first.terminate()
        second.terminate()
        own, second.data_dir = second.data_dir, first.data_dir
        second.start()
        self.assertRefused(second, r"node-1", r"node-2")
        second.data_dir = own
        first.start()
        second.start()
        cluster.await_leader()

    def test_the_data_directory_of_another_cluster_is_refused(self):
        one, other = (self.cluster(**{"cluster-id": name}).start() for name in ("one", "quite-another"))
        one.await_leader()
        other.await_leader()
        for cluster in (one, other):
            cluster.nodes[2].terminate()
        one.nodes[2].data_dir = other.nodes[2].data_dir
        one.nodes[2].start()
        self.assertRefused(one.nodes[2], r"data directory belongs to node-3 of cluster quite-another", r"cluster one")

    def test_a_data_directory_in_use_is_refused(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        first = cluster.nodes[0]
        twin = Node(cluster, "node-1")
        twin.data_dir = first.data_dir
        twin.log_path += "-twin"
        twin.start()
        self.assertRefused(twin, r"node-1")
        cluster.put("/works", b"all the same")

    def test_environment_names_are_read_and_flags_win(self):
        cluster = self.cluster(size=1)
        node = cluster.nodes[0]
        env = clean_environment(NODE_ID="node-1", LISTEN_ADDR="127.0.0.1:1", PEERS=cluster.peers(),
                                HTTP_ADDR=f"127.0.0.1:{node.http_port}", SANDSTORE_DATA_DIR=node.data_dir)
        process = harness.Process("node-1", [harness.SANDSTORE, "node", f"--listen={node.address}"],
                                  node.log_path, env=env).start()
        self.addCleanup(process.kill)
        status = wait_until("the node leads", lambda: (node.status() or {}).get("leader") == "node-1")
        self.assertTrue(status)


if __name__ == "__main__":
    harness.main()
