"""sandstore doctor on this machine: beside a running cluster, and where things are wrong."""
import http.server
import json
import os
import signal
import socket
import tempfile
import threading

import harness
from harness import SANDSTORE, ClusterTest, clean_environment, free_port, run, spawn, wait_until

LOG_SPARES = 2  # kSparesMax of the log.


class Doctor(ClusterTest):
    def examine(self, *flags, status):
        done = run([SANDSTORE, "doctor", "--json", *flags])
        self.assertEqual(done.returncode, status, done.stdout.decode() + done.stderr.decode())
        report = json.loads(done.stdout)
        self.assertEqual(report["health"] == "fail", status == 1)
        found = {}
        for line in report["checks"]:
            found.setdefault(line["check"], []).append(line)
            self.assertEqual("advice" in line, line["health"] != "ok", line)
        return found

    def flags(self, folder, **others):
        flags = {"data-dir": folder, "listen": f"127.0.0.1:{free_port()}", "http-listen": f"127.0.0.1:{free_port()}",
                 "peers": f"node-1=127.0.0.1:{free_port()}", **others}
        return [f"--{name}={value}" for name, value in flags.items()]

    def test_beside_a_running_node_it_changes_nothing_and_knows_the_cluster(self):
        cluster = self.cluster().start()
        cluster.await_leader()
        cluster.put("/file", b"content")
        node = cluster.nodes[0]

        def names():
            return {path: sorted(files) for path, _, files in os.walk(node.data_dir)}
        # The node goes on making these for a while after it serves.
        wait_until("the log has its spare segments", lambda: sum(
            name.startswith("spare-") for name in os.listdir(f"{node.data_dir}/log")) == LOG_SPARES)
        before = names()
        flags = [f"--node-id={node.node_id}", f"--peers={cluster.peers()}", f"--data-dir={node.data_dir}",
                 f"--listen={node.address}", f"--http-listen=127.0.0.1:{node.http_port}"]
        found = self.examine(*flags, status=0)
        self.assertEqual(names(), before)
        self.assertIn("held by node-1, which runs", found["port"][0]["text"])
        self.assertIn("belongs to node-1", found["identity"][0]["text"])
        self.assertEqual([line["health"] for line in found["peer"]], ["ok"] * 3)
        self.assertEqual([line["health"] for line in found["clock_offset"]], ["ok"] * 2)
        self.assertEqual(found["versions"][0]["health"], "ok")
        self.assertIn("leads in term", found["cluster"][0]["text"])
        self.assertIn("fsync", found)

        other = self.examine("--node-id=node-9", *flags[1:], status=1)
        self.assertIn("not to node-9", other["identity"][0]["text"])
        self.assertIn("held by the Sandstore node node-1", other["port"][0]["text"])

    def test_what_is_wrong_fails_with_advice(self):
        folder = tempfile.mkdtemp(prefix="sandstore-test-doctor-")
        self.addCleanup(os.rmdir, folder)
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        web = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.shutdown)
        found = self.examine(*self.flags(folder, listen=f"127.0.0.1:{taken.getsockname()[1]}",
                                         peers="node-1=no.such.host.invalid:8080"), status=1)
        self.assertIn("another program", found["port"][0]["text"])
        self.assertIn("cannot be resolved", found["peer"][0]["text"])
        found = self.examine(*self.flags(folder, **{"http-listen": f"127.0.0.1:{web.server_address[1]}"}), status=1)
        self.assertIn("another program", found["http_port"][0]["text"])
        found = self.examine(*self.flags("/proc/nothing"), status=1)
        self.assertEqual(found["data_dir"][0]["health"], "fail")
        found = self.examine(*self.flags(folder, **{"election-timeout": 100, "heartbeat-interval": 50}), status=1)
        self.assertIn("--election-timeout=", found["election_timeout"][0]["advice"])
        found = self.examine(*self.flags(folder, **{"log-dir": folder + "/none"}), status=1)
        self.assertEqual(found["log_dir"][0]["health"], "fail")
        self.assertEqual(os.listdir(folder), [])

    def test_few_open_files_are_a_reason_to_fail(self):
        folder = tempfile.mkdtemp(prefix="sandstore-test-doctor-")
        self.addCleanup(os.rmdir, folder)
        done = run(["sh", "-c", "ulimit -n 200; exec \"$@\"", "sh", SANDSTORE, "doctor", *self.flags(folder)])
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"fail +nofile +200 files")
        self.assertIn("-> raise", done.stdout.decode())

    def test_an_interrupted_doctor_leaves_nothing_in_the_data_directory(self):
        folder = tempfile.mkdtemp(prefix="sandstore-test-doctor-")
        self.addCleanup(os.rmdir, folder)
        for how in signal.SIGINT, signal.SIGKILL:
            child = spawn([SANDSTORE, "doctor", *self.flags(folder)], stdout=harness.subprocess.DEVNULL,
                          env=clean_environment())
            descriptors = f"/proc/{child.pid}/fd"
            wait_until("its file is open", lambda: child.poll() is not None or any(
                os.readlink(f"{descriptors}/{number}").startswith(folder) for number in os.listdir(descriptors)))
            child.send_signal(how)
            child.wait(harness.PATIENCE_S)
            self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    harness.main()
