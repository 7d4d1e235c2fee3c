"""The monitoring files, without any node: they are well-formed, name only metrics that docs/metrics.md describes, every
alert leads to a heading of docs/troubleshooting.md and has a test in which it fires and one in which it is quiet."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cluster"))
import exposition  # noqa: E402
import monitoring_files as files  # noqa: E402


def promtool(*arguments):
    tool = files.tool("promtool")
    if tool is None:
        raise unittest.SkipTest("promtool is not installed")
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, cwd=files.MONITORING)


def anchors():
    text = (files.ROOT / "docs" / "troubleshooting.md").read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Monitoring(unittest.TestCase):
    def test_the_page_and_the_code_name_the_same_metrics(self):
        documented, in_code = set(files.documented()), files.names_in_code()
        self.assertGreater(len(documented), 60)
        self.assertEqual(sorted(in_code - documented), [], "docs/metrics.md lacks them")
        self.assertEqual(sorted(documented - in_code), [], "docs/metrics.md has them, the code does not")

    def test_dashboards_and_rules_name_known_metrics_and_labels_only(self):
        known, recorded = files.documented(), set(files.rules(files.RECORDING_RULES))
        from_scrape = {"job", "instance", "le"}
        for where, expression in files.dashboard_expressions() + files.rule_expressions():
            names = set(files.METRIC_NAME.findall(expression))
            self.assertTrue(names or "up{" in expression or files.RECORDED_NAME.search(expression), where)
            for name in names:
                self.assertIn(files.family_of(name, known), known, where)
            for name in files.RECORDED_NAME.findall(expression):
                self.assertIn(name, recorded, where)
            for name, matchers in files.SELECTOR.findall(expression):
                labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
                self.assertLessEqual(labels, known[files.family_of(name, known)][1] | from_scrape, where)
            if names:
                carried = set.union(*(known[files.family_of(name, known)][1] for name in names)) | from_scrape
                for group in files.GROUPING.findall(expression):
                    self.assertLessEqual(set(re.findall(r"\w+", group)), carried, where)

    def test_dashboards_are_whole(self):
        self.assertEqual([path.stem for path in files.DASHBOARDS],
                         ["sandstore-chunks", "sandstore-cluster", "sandstore-node", "sandstore-raft"])
        source = (files.MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text()
        for path in files.DASHBOARDS:
            board = json.loads(path.read_text())
            self.assertEqual(board["uid"], path.stem)
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)), path.name)
            used = set()
            for panel in board["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                         for y in range(place["y"], place["y"] + place["h"])}
                self.assertFalse(cells & used, f"{path.name}: {panel['title']} covers another panel")
                used |= cells
                self.assertTrue(panel["targets"], panel["title"])
                for target in panel["targets"]:
                    self.assertIn(f"uid: {target['datasource']['uid']}\n", source)

    def test_every_alert_says_what_it_is_and_where_to_read_on(self):
        alerts = files.rules(files.ALERT_RULES)
        self.assertGreater(len(alerts), 25)
        known = anchors()
        for name, alert in alerts.items():
            self.assertIn(alert.get("severity"), ("warning", "critical"), name)
            self.assertTrue(alert.get("summary") and alert.get("description"), name)
            page, _, anchor = alert.get("runbook", "").partition("#")
            self.assertEqual(page, "docs/troubleshooting.md", name)
            self.assertIn(anchor, known, name)

    def test_every_alert_is_tested_both_ways(self):
        found = re.findall(r'alertname="(\w+)", alertstate="firing"}\) or vector\(0\)\s+eval_time: \w+\s+'
                           r"exp_samples: \[\{labels: '\{\}', value: (\d+)\}\]", files.RULE_TESTS.read_text())
        alerts = set(files.rules(files.ALERT_RULES))
        self.assertEqual({name for name, value in found if value == "0"}, alerts)
        self.assertEqual({name for name, value in found if value != "0"}, alerts)

    def test_promtool_accepts_the_configuration(self):
        done = promtool("check", "config", "prometheus.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = promtool("check", "rules", "recording_rules.yml", "alert_rules.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_fire_and_keep_quiet_as_their_tests_say(self):
        done = promtool("test", "rules", files.RULE_TESTS.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("SUCCESS", done.stdout)


class Checker(unittest.TestCase):
    """A checker that finds nothing is worth nothing: each fault is planted once."""
    GOOD = ('# HELP a_seconds Help.\n# TYPE a_seconds histogram\na_seconds_bucket{le="0.1"} 1\n'
            'a_seconds_bucket{le="+Inf"} 2\na_seconds_sum 0.3\na_seconds_count 2\n')

    def faults(self, text):
        return exposition.parse(text)[1]

    def test_it_finds_what_is_wrong_and_nothing_else(self):
        self.assertEqual(self.faults(self.GOOD), [])
        self.assertEqual(self.faults('# HELP b_total Help.\n# TYPE b_total counter\nb_total{x="a\\"b\\\\\\n"} 1\n'), [])
        for wrong in [
                self.GOOD.replace("# HELP a_seconds Help.\n", ""),
                self.GOOD.replace("Help.", ""),
                self.GOOD.replace("histogram", "summary"),
                self.GOOD.replace('le="0.1"} 1', 'le="0.1"} 3'),
                self.GOOD.replace('le="+Inf"', 'le="7"'),
                self.GOOD.replace("a_seconds_count 2", "a_seconds_count 3"),
                self.GOOD.replace("a_seconds_sum 0.3\n", ""),
                self.GOOD.replace("a_seconds", "a_ms"),
                self.GOOD[:-1],
                "# HELP c Help.\n# TYPE c counter\nc 1\n",
                "# HELP c_total Help.\n# TYPE c_total gauge\nc_total 1\n",
                "# HELP c_total Help.\n# TYPE c_total counter\nc_total -1\n",
                "# HELP c_total Help.\n# TYPE c_total counter\nc_total 1\nc_total 1\n",
                '# HELP c_total Help.\n# TYPE c_total counter\nc_total{x="a"b"} 1\n',
                '# HELP c_total Help.\n# TYPE c_total counter\nc_total{x="1"} 1\nc_total{y="1"} 1\n',
                "# HELP c_total Help.\n# TYPE c_total counter\nd_total 1\n"]:
            self.assertNotEqual(self.faults(wrong), [], wrong)


if __name__ == "__main__":
    unittest.main(verbosity=2)
