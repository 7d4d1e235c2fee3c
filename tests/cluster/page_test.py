"""The status page, in a real browser, against a real cluster. With SANDSTORE_SCREENSHOTS=FOLDER it leaves pictures."""
import json
import os
import signal
import urllib.error
import urllib.request

import harness
from browser import Browser
from harness import SANDSTORE, ClusterTest, Process, clean_environment, http_get, wait_until

SCREENSHOTS = os.environ.get("SANDSTORE_SCREENSHOTS")


class Page(ClusterTest):
    def setUp(self):
        self.nodes = self.cluster(size=3).start()
        self.leader = self.nodes.await_leader()
        self.followers = [node for node in self.nodes.nodes if node is not self.leader]
        self.browser = Browser()
        self.addCleanup(self.browser.close)

    def origin(self, node):
        return f"http://127.0.0.1:{node.http_port}"

    def open(self, node):
        self.browser.open(f"{self.origin(node)}/")
        wait_until("the page shows the nodes", lambda: self.rows())

    def rows(self):
        """Node id to what its line says."""
        return {line["id"]: line for line in self.browser.run("""
            return [...document.querySelectorAll(".node")].map((row) => ({
                id: row.dataset.node, role: row.querySelector(".chip").innerText,
                committed: row.querySelector(".value-commit").innerText, remark: row.querySelector(".remark").innerText,
                cells: row.querySelectorAll(".cell.applied").length}));""")}

    def headline(self):
        return f"{self.browser.text('#headline-title')}: {self.browser.text('#headline-text')}"

    def await_headline(self, part):
        wait_until(f"the headline says {part!r}", lambda: part in self.headline())

    def shows(self, selector, part):
        return any(part in text for text in self.browser.texts(selector))

    def load(self, *flags):
        load = Process("load", [SANDSTORE, "bench", "meta", "--clients=4", *flags], f"{self.nodes.folder}/load.log",
                       env=clean_environment(SANDSTORE_SERVERS=self.nodes.servers()))
        self.addCleanup(load.kill)
        return load.start()

    def picture(self, name):
        if SCREENSHOTS:
            os.makedirs(SCREENSHOTS, exist_ok=True)
            self.browser.screenshot(f"{SCREENSHOTS}/{name}.png")

    def assert_clean(self, *nodes, besides=()):
        """Nothing left the origin, and the console is empty but for requests that a dead node could not answer."""
        origins = tuple(self.origin(node) + "/" for node in nodes)
        away = [url for url in self.browser.requests() if not url.startswith(origins)]
        self.assertEqual(away, [])
        # The browser's own pages, such as the one that it begins with, are not ours.
        said = [entry["message"] for entry in self.browser.log("browser")
                if not entry["message"].startswith("chrome://")]
        self.assertEqual([line for line in said if not any(part in line for part in besides)], [])

    def test_it_shows_the_nodes_the_leader_and_what_the_cluster_does(self):
        load = self.load("--duration=300s")
        self.nodes.put("/picture", os.urandom(1 << 20))
        self.open(self.followers[0])
        self.await_headline(f"The cluster serves: {self.leader.node_id} leads in term ")
        rows = self.rows()
        self.assertEqual(sorted(rows), ["node-1", "node-2", "node-3"])
        for node_id, row in rows.items():
            self.assertEqual(row["role"], "leader" if node_id == self.leader.node_id else "follower")
        self.assertEqual(self.browser.text("#seen"), f"as {self.followers[0].node_id} sees it")

        # It moves: more is committed, and squares are filled, without anybody reloading it.
        def committed():
            return int(self.rows()[self.leader.node_id]["committed"].replace(",", ""))
        before = committed()
        wait_until("the commit index moves", lambda: committed() > before)
        self.assertGreater(self.rows()[self.leader.node_id]["cells"], 0)
        wait_until("requests are counted", lambda: not self.browser.text("#throughput-now").startswith("0 "))
        wait_until("curves are drawn", lambda: self.browser.run(
            "return [...document.querySelectorAll('.curve')].filter(c => c.getAttribute('d').length > 40).length") > 6)
        self.assertTrue(self.shows(".reign + text, .lane-name", self.leader.node_id))
        self.assertTrue(self.shows("#members dd", "node-1, node-2 and node-3"))
        self.assertTrue(self.shows("#quorum", "3 of 3 voters up, 2 needed"))
        self.assertTrue(self.shows("#verdicts .yes", f"{self.leader.node_id} may be stopped; it leads"))
        wait_until("the chunk is counted everywhere", lambda: len([
            text for text in self.browser.texts("#stores li") if "1 chunk, 1 MiB" in text]) == 3)
        self.assertTrue(self.shows("#events .leads", f"{self.leader.node_id} leads in term"))
        if SCREENSHOTS:
            wait_until("a minute is drawn", lambda: self.samples() >= 60, 90)
            self.picture("status-healthy")
        load.kill()
        self.assert_clean(self.followers[0])

    def samples(self):
        code, body = http_get(f"{self.origin(self.leader)}/history")
        return min(len(node["samples"]) for node in json.loads(body)["nodes"]) if code == 200 else 0

    def test_a_killed_node_a_lost_majority_and_a_lost_page_are_said_plainly(self):
        load = self.load("--duration=300s")
        self.open(self.followers[0])
        self.await_headline("The cluster serves: ")
        if SCREENSHOTS:
            wait_until("a while is drawn", lambda: self.samples() >= 40, 90)
        self.leader.kill()
        self.await_headline(f"The cluster serves, without {self.leader.node_id}: ")
        new_leader = self.nodes.await_leader(besides=self.leader.node_id)
        wait_until("the new leader is shown", lambda: self.rows()[new_leader.node_id]["role"] == "leader")
        row = self.rows()[self.leader.node_id]
        self.assertEqual(row["role"], "down")
        self.assertIn("no answer", row["remark"])
        self.assertEqual(self.browser.run("return document.querySelector('#headline').dataset.state"), "warn")
        self.assertTrue(self.shows("#verdicts .moot", f"{self.leader.node_id}: is down"))
        self.assertTrue(self.shows("#verdicts .no", f"{new_leader.node_id}: no, without {new_leader.node_id}, only 1"))
        self.assertTrue(self.shows("#events li", f"has lost the connection to {self.leader.node_id}"))
        self.assertTrue(self.browser.run("return document.querySelector('svg .gone') !== null"))
        if SCREENSHOTS:
            before = self.samples_of(new_leader)
            wait_until("the new term is seen", lambda: self.samples_of(new_leader) >= before + 20, 60)
            self.picture("status-node-down")
        load.kill()

        # The second of three: nobody leads.
        self.followers[1].kill()
        self.await_headline("The cluster has no leader: ")
        self.assertNotEqual(self.rows()[self.followers[0].node_id]["role"], "leader")
        self.assertEqual(self.rows()[self.followers[1].node_id]["role"], "down")

        # The page's own node stops answering, and comes back.
        self.followers[0].child.send_signal(signal.SIGSTOP)
        self.await_headline(f"This page has lost {self.followers[0].node_id}: It does not answer in time.")
        self.assertIn("old. It keeps trying", self.headline())
        self.assertIn("stale", self.browser.run("return document.body.className"))
        self.followers[0].child.send_signal(signal.SIGCONT)
        for node in (self.leader, self.followers[1]):
            node.start()
        self.await_headline("The cluster serves: ")
        self.assertEqual(self.browser.run("return document.body.className"), "")
        self.assert_clean(self.followers[0], besides=("Failed to load resource",))

    def samples_of(self, node):
        body = json.loads(http_get(f"{self.origin(node)}/history?seconds=600")[1])
        return next(len(one["samples"]) for one in body["nodes"] if one["id"] == node.node_id)

    def test_it_fits_a_phone_and_both_colour_schemes_and_explains_its_words(self):
        browser = self.browser
        self.open(self.leader)
        self.await_headline("The cluster serves: ")
        browser.resize(360, 740, scale=2, mobile=True)
        wait_until("nothing is wider than a phone", lambda: browser.run(
            "return document.documentElement.scrollWidth <= 360 && window.innerWidth === 360"))
        self.assertEqual(browser.run("""
            return [...document.querySelectorAll("main *")].filter((one) =>
                one.getBoundingClientRect().right > 361 && !one.closest("svg")).length;"""), 0)
        browser.resize(1280, 1000)

        ground = "return getComputedStyle(document.body).backgroundColor"
        browser.prefer(prefers_color_scheme="light")
        light = browser.run(ground)
        browser.prefer(prefers_color_scheme="dark")
        wait_until("it is dark", lambda: browser.run(ground) != light)
        for scheme in ("light", "dark"):
            browser.prefer(prefers_color_scheme=scheme)
            self.assertEqual(self.faint_texts(), [], scheme)
        browser.prefer(prefers_color_scheme="dark")
        browser.run("document.querySelector('#theme').click()")  # system -> light
        self.assertEqual(browser.text("#theme"), "Colours: light")
        self.assertEqual(browser.run(ground), light)

        # By the mouse, by the keyboard, by a tap; gone with Escape.
        explanation = "#explanation"
        self.assertEqual(browser.text(explanation), "")
        x, y = browser.run("""
            const box = document.querySelector('.node [data-term="commit"]').getBoundingClientRect();
            return [box.left + 4, box.top + 4];""")
        browser.move_mouse(x, y)
        wait_until("hovering explains", lambda: "disks of a majority" in browser.text(explanation))
        browser.move_mouse(2, 2)
        wait_until("it goes with the mouse", lambda: browser.text(explanation) == "")
        browser.run("document.querySelector('.node [data-term=\"lag\"]').focus()")
        self.assertIn("where the leader is", browser.text(explanation))
        self.assertEqual(browser.run("return document.activeElement.getAttribute('aria-describedby')"), "explanation")
        browser.press("Escape")
        self.assertEqual(browser.text(explanation), "")
        browser.run("document.querySelector('[data-term=\"fsync\"]').click()")
        self.assertIn("power cut", browser.text(explanation))
        unexplained = browser.run("""
            return [...document.querySelectorAll(".term")].filter((one) => {
                one.focus();
                return document.querySelector("#explanation").innerText.length < 40;
            }).map((one) => one.dataset.term);""")
        self.assertEqual(unexplained, [])
        self.assert_clean(self.leader)

    def faint_texts(self):
        """Texts with less contrast to what is behind them than 4.5 to 1 (WCAG AA)."""
        return self.browser.run("""
            const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
            const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
            const behind = (one) => {
                for (; one; one = one.parentElement) {
                    const colour = parts(getComputedStyle(one).backgroundColor);
                    if (colour.length === 3 || colour[3] > 0.99) return colour;
                }
                return [255, 255, 255];
            };
            const shown = [...document.querySelectorAll("body *")].filter((one) => one.getClientRects().length &&
                !one.closest("svg, noscript, .skip"));
            return shown.filter((one) => [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
                .filter((one) => {
                    const both = [light(parts(getComputedStyle(one).color)), light(behind(one))];
                    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05) < 4.5;
                }).map((one) => `${one.className}: ${one.innerText}`);""")

    def test_the_page_may_load_nothing_from_elsewhere_and_is_asked_for_once(self):
        with urllib.request.urlopen(f"{self.origin(self.leader)}/", timeout=5) as answer:
            policy, tag = answer.headers["Content-Security-Policy"], answer.headers["ETag"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
                     "img-src 'self' data:", "frame-ancestors 'none'"):
            self.assertIn(part, policy.split("; "))
        again = urllib.request.Request(f"{self.origin(self.leader)}/", headers={"If-None-Match": tag})
        with self.assertRaises(urllib.error.HTTPError) as known:
            urllib.request.urlopen(again, timeout=5)
        self.assertEqual(known.exception.code, 304)
        # The policy holds in the browser: a script of the page's own making is not run.
        self.open(self.leader)
        self.browser.run("""
            const script = document.createElement("script");
            script.textContent = "window.smuggled = true";
            document.body.append(script);""")
        self.assertIsNone(self.browser.run("return window.smuggled"))
        self.assert_clean(self.leader, besides=("Content Security Policy",))

    def test_a_node_tells_whether_it_may_be_stopped(self):
        wait_until("it may be stopped", lambda: self.leader.get("/health?maintenance")[0] == 200)
        self.followers[0].kill()

        def refused():
            code, text = self.leader.get("/health?maintenance")
            return code == 412 and f"{self.followers[0].node_id} is down" in text.decode()
        wait_until("another one is needed", refused)
        self.assertEqual(self.leader.get("/health")[0], 200)
        self.assertEqual(self.followers[1].get("/health?maintenance")[0], 412)
        self.followers[0].start()
        wait_until("it may be stopped again", lambda: self.leader.get("/health?maintenance")[0] == 200)


if __name__ == "__main__":
    harness.main()
