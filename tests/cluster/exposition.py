"""Prometheus' text format, read and judged without Prometheus: what a /metrics answer may not get wrong."""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*$")
SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
TYPES = {"counter", "gauge", "histogram"}
UNITS_NOT_USED = ("_ms", "_us", "_milliseconds", "_microseconds", "_kb", "_kilobytes", "_percent")


class Family:
    def __init__(self, name, help_text):
        self.name, self.help, self.type = name, help_text, None
        self.samples = []  # (sample name, labels, value)

    def labels(self):
        """The names of its labels, a histogram's `le` left out."""
        return {label for _, labels, _ in self.samples for label in labels} - {"le"}


def parse(text):
    """(families by name, faults as sentences)."""
    families, faults, current = {}, [], None
    if text and not text.endswith("\n"):
        faults.append("the last line has no end")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# HELP "):
            name, _, help_text = line[len("# HELP "):].partition(" ")
            if name in families:
                faults.append(f"line {number}: {name} begins twice")
            current = families[name] = Family(name, help_text)
        elif line.startswith("# TYPE "):
            name, _, kind = line[len("# TYPE "):].partition(" ")
            if current is None or current.name != name or current.type:
                faults.append(f"line {number}: the TYPE of {name} does not follow its HELP")
            if current:
                current.type = kind
        else:
            match = SAMPLE.match(line)
            if not match:
                faults.append(f"line {number} is no sample: {line}")
                continue
            labels = _labels(match["labels"] or "", number, faults)
            allowed = [""] if current is None or current.type != "histogram" else ["_bucket", "_sum", "_count"]
            if current is None or match["name"] not in [current.name + suffix for suffix in allowed]:
                faults.append(f"line {number}: {match['name']} stands among {current.name if current else 'nothing'}")
                continue
            try:
                current.samples.append((match["name"], labels, float(match["value"])))
            except ValueError:
                faults.append(f"line {number}: {match['value']} is no number")
    for family in families.values():
        faults += judge(family)
    return families, faults


def _labels(text, number, faults):
    labels, position = {}, 0
    while position < len(text):
        match = LABEL.match(text, position)
        if not match or (match[3] == "," and match.end() == len(text)):
            faults.append(f"line {number}: these are no labels: {text}")
            break
        if match[1] in labels:
            faults.append(f"line {number}: label {match[1]} stands there twice")
        labels[match[1]] = match[2]
        position = match.end()
    return labels


def judge(family):
    """The faults of one family."""
    name, faults = family.name, []
    if not NAME.match(name) or name != name.lower():
        faults.append(f"{name} is not a name")
    if not family.help.strip():
        faults.append(f"{name} has no help")
    if family.type not in TYPES:
        faults.append(f"{name} has type {family.type}")
    if (family.type == "counter") != name.endswith("_total"):
        faults.append(f"{name} is a {family.type}: counters, and nothing else, end in _total")
    if name.removesuffix("_total").endswith(UNITS_NOT_USED):
        faults.append(f"{name} is not in a base unit")
    series = [(sample, tuple(sorted(labels.items()))) for sample, labels, _ in family.samples]
    faults += [f"{name} has a series twice: {twice}" for twice in {one for one in series if series.count(one) > 1}]
    if len({frozenset(labels) - {"le"} for _, labels, _ in family.samples}) > 1:
        faults.append(f"the series of {name} differ in their labels")
    for sample, labels, value in family.samples:
        if family.type != "gauge" and not (value >= 0 and math.isfinite(value)):
            faults.append(f"{sample}{labels} is {value}")
    if family.type == "histogram":
        faults += judge_histogram(family)
    return faults


def judge_histogram(family):
    faults, groups = [], {}
    for sample, labels, value in family.samples:
        key = tuple(sorted((label, text) for label, text in labels.items() if label != "le"))
        group = groups.setdefault(key, {"buckets": [], "sum": None, "count": None})
        part = sample.removeprefix(family.name + "_")
        if part == "bucket":
            group["buckets"].append((float(labels.get("le", "nan")), value))
        else:
            group[part] = value
    for key, group in groups.items():
        limits = [limit for limit, _ in group["buckets"]]
        counts = [count for _, count in group["buckets"]]
        what = f"{family.name}{dict(key)}"
        if limits != sorted(set(limits)) or not limits or limits[-1] != math.inf:
            faults.append(f"{what}: the buckets' limits do not rise to +Inf: {limits}")
        if counts != sorted(counts):
            faults.append(f"{what}: the buckets are not cumulative: {counts}")
        if group["count"] is None or group["sum"] is None or counts[-1:] != [group["count"]]:
            faults.append(f"{what}: the last bucket, the count and the sum do not fit: {group}")
    return faults
