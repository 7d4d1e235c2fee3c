"""What stands in scripts/deploy/monitoring/ and docs/metrics.md, for the tests that hold them against each other and
against real nodes."""
import json
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MONITORING = ROOT / "scripts" / "deploy" / "monitoring"
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
ALERT_RULES = MONITORING / "alert_rules.yml"
RECORDING_RULES = MONITORING / "recording_rules.yml"
RULE_TESTS = MONITORING / "alert_tests.yml"

RECORDED_NAME = re.compile(r"\b(?:sandstore|node):[a-z0-9_]+:[a-z0-9_]+")
METRIC_NAME = re.compile(r"(?<![:\w])(?:sandstore|process)_[a-z0-9_]+(?!:)\b")
SELECTOR = re.compile(r"(?<![:\w])((?:sandstore|process)_[a-z0-9_]+)(\{[^}]*\})?")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def documented():
    """{name: (type, labels)} of the tables in docs/metrics.md."""
    rows = {}
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        match = re.match(r"\| `([a-z_]+)` \| (\w+) \| ([^|]*)\|", line)
        if match:
            assert match[1] not in rows, f"docs/metrics.md has {match[1]} twice"
            rows[match[1]] = (match[2], set(re.findall(r"`(\w+)`", match[3])))
    return rows


def family_of(name, known):
    """A histogram's series belong to it."""
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and known.get(base, ("",))[0] == "histogram":
            return base
    return name


def names_in_code():
    """Every metric's name that stands in the code of a node as a literal."""
    names = set()
    for folder in ("runtime", "net", "actors", "services", "apps"):
        for path in [*(ROOT / folder).rglob("*.cc"), *(ROOT / folder).rglob("*.h")]:
            names.update(re.findall(r'"((?:sandstore|process)_[a-z_]+)"', path.read_text()))
    return names


def dashboard_expressions():
    """(where, expression), with the dashboards' variables filled in."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                found.append((f"{path.name}: {panel['title']}", target["expr"].replace("$instance", ".*")))
    return found


def rules(path):
    """The rules of a file of ours: {alert or record: {expr, ...}}. It reads just the YAML that is written there."""
    found, rule, folded = {}, None, None
    for line in path.read_text().splitlines():
        indent, text = len(line) - len(line.lstrip()), line.strip()
        if not text or text.startswith("#"):
            continue
        if folded and indent > folded[1]:
            rule[folded[0]] = f"{rule[folded[0]]} {text}".strip()
            continue
        folded = None
        begin = re.match(r"- (?:alert|record): (\S+)$", text)
        if begin:
            rule = found.setdefault(begin[1], {})
            continue
        key, separator, value = text.partition(": ")
        if rule is None or not (separator or text.endswith(":")):
            continue
        if value == ">-":
            folded, rule[key] = (key, indent), ""
        else:
            rule[key.rstrip(":")] = value.strip('"')
    return found


def rule_expressions():
    return [(f"{path.name}: {name}", rule["expr"])
            for path in (RECORDING_RULES, ALERT_RULES) for name, rule in rules(path).items()]


def tool(name):
    """The path of an optional program, or None. SANDSTORE_TEST_NEEDS_TOOLS=1 (as in .ci/run) makes it needed."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    assert os.environ.get("SANDSTORE_TEST_NEEDS_TOOLS") != "1", f"{name} is not installed (scripts/setup)"
    return None
