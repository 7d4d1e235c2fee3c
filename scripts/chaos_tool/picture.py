"""A run as a picture: faults of each node, who led in which term, when writes paused, throughput, latency."""
import math
from html import escape

WIDTH, LEFT, RIGHT = 1200, 92, 16
LANE, CHART, GAP = 26, 110, 26
INK, FAINT, GRID = "#1f2933", "#616e7c", "#d9dee4"
FAULT_COLOURS = {"kill": "#d64545", "pause": "#e9a23b", "partition": "#7b4fc9", "flap": "#b08fe6",
                 "slow-network": "#4f86c6", "slow-disk": "#8a6d3b", "full-disk": "#5c4a2a", "clock": "#2f9e8f",
                 "restart-all": "#9b1c1c", "etcd": "#737373"}
NODE_COLOURS = ["#2b6cb0", "#2f855a", "#b7791f", "#97266d", "#285e61", "#744210", "#553c9a", "#9c4221", "#1a365d"]


class Canvas:
    def __init__(self, end_s):
        self.end_s, self.parts, self.height = max(end_s, 1), [], 0

    def x(self, time_s):
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(time_s, 0), self.end_s) / self.end_s

    def rect(self, begin, end, top, height, colour, title="", opacity=1.0):
        left = self.x(begin)
        width = max(self.x(end) - left, 1.2)
        hint = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
                          f'fill="{colour}" fill-opacity="{opacity}">{hint}</rect>')

    def text(self, x, y, text, anchor="start", colour=INK, size=12, weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
                          f'font-size="{size}" font-weight="{weight}">{escape(str(text))}</text>')

    def line(self, x1, y1, x2, y2, colour=GRID):
        # Behind everything else.
        self.parts.insert(0, f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>')

    def path(self, points, colour):
        """Points that are None break the line."""
        commands, pen = [], "M"
        for point in points:
            if point is None:
                pen = "M"
                continue
            commands.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
            pen = "L"
        self.parts.append(f'<path d="{" ".join(commands)}" fill="none" stroke="{colour}" stroke-width="1.3"/>')


def draw(run, analysis, facts):
    canvas = Canvas(analysis.end)
    names = run.cluster.names()
    verdict = "everything held" if facts["held"] else "NOT EVERYTHING HELD"
    canvas.text(LEFT, 26, f"Sandstore under chaos: seed {run.seed}, {run.duration_s:g} s, {len(names)} nodes, "
                          f"{run.cluster.mode}", size=17, weight="bold")
    canvas.text(LEFT, 46, f"{facts['faults']} faults, {facts['operations']} operations, lost writes "
                          f"{facts['lost_writes']}, double applications {facts['double_applications']}, without an "
                          f"acknowledged write {facts['unavailable_s']:.1f} s: {verdict}", colour=FAINT)
    top = _legend(canvas, analysis, 64)
    first_lane = top
    top = _faults(canvas, analysis, names, top)
    top = _leaders(canvas, analysis, names, top)
    charts = top
    top = _throughput(canvas, analysis, top + GAP)
    top = _latency(canvas, analysis, top + GAP)
    _axis(canvas, first_lane, top)
    for begin, end in analysis.pauses:
        canvas.rect(begin, end, first_lane, top - first_lane, "#d64545",
                    f"no write acknowledged for {end - begin:.2f} s", 0.16)
    canvas.text(WIDTH - RIGHT, charts + 14, "red bands: no write acknowledged for more than 0.5 s", "end", FAINT, 11)
    height = top + 34
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'font-family="system-ui, sans-serif" role="img" aria-label="Chaos run with seed {run.seed}">\n'
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n' + "\n".join(canvas.parts) + "\n</svg>\n")


def _legend(canvas, analysis, top):
    x = LEFT
    for kind in FAULT_COLOURS:
        if any(fault["kind"] == kind for fault in analysis.faults):
            canvas.parts.append(f'<rect x="{x}" y="{top}" width="12" height="12" fill="{FAULT_COLOURS[kind]}"/>')
            canvas.text(x + 17, top + 10.5, kind, size=12)
            x += 34 + 7 * len(kind)
    return top + 26


def _faults(canvas, analysis, names, top):
    lanes = names + (["etcd"] if any(fault["kind"] == "etcd" for fault in analysis.faults) else [])
    for at, lane in enumerate(lanes):
        y = top + at * LANE
        canvas.text(LEFT - 8, y + 16, lane, "end")
        canvas.line(LEFT, y + LANE - 2, WIDTH - RIGHT, y + LANE - 2)
        for fault in analysis.faults:
            if lane not in (fault["nodes"] or ["etcd"]):
                continue
            what = " ".join(f"{name}={value}" for name, value in fault["settings"].items())
            title = (f"#{fault['number']} {fault['kind']} {what}, {fault['begin']:.1f} to {fault['end']:.1f} s"
                     f"{', the leader' if fault['leader'] == lane else ''}")
            canvas.rect(fault["begin"], fault["end"], y + 4, LANE - 10, FAULT_COLOURS[fault["kind"]], title)
    return top + len(lanes) * LANE


def _leaders(canvas, analysis, names, top):
    canvas.text(LEFT - 8, top + 16, "leader", "end", weight="bold")
    spans = [*analysis.leaders, (analysis.end, None, None)]
    for (begin, node, term), (end, _, _) in zip(spans, spans[1:]):
        colour = NODE_COLOURS[names.index(node) % len(NODE_COLOURS)]
        canvas.rect(begin, end, top + 3, LANE - 8, colour, f"{node}, term {term}, from {begin:.1f} s", 0.85)
        for label in (f"{node}, term {term}", f"{node.removeprefix('node-')} t{term}"):
            if canvas.x(end) - canvas.x(begin) > 8 + 6.5 * len(label):
                canvas.text(canvas.x(begin) + 4, top + 16, label, colour="#ffffff", size=11)
                break
    return top + LANE


def _chart(canvas, top, title, ticks, place):
    canvas.text(LEFT, top - 6, title, size=12, weight="bold")
    for value, label in ticks:
        canvas.line(LEFT, place(value), WIDTH - RIGHT, place(value))
        canvas.text(LEFT - 8, place(value) + 4, label, "end", FAINT, 11)


def _throughput(canvas, analysis, top):
    most = max([done for done, _, _, _ in analysis.seconds] + [1])
    step = 10 ** math.floor(math.log10(most))
    step = step if most / step >= 3 else step / 2 if most / step >= 1.5 else step / 5

    def place(value):
        return top + CHART - CHART * value / most
    ticks = [(i * step, f"{i * step:g}") for i in range(int(most / step) + 1)]
    _chart(canvas, top, "operations a second: answered, and (red) not", ticks, place)
    middle = [canvas.x(second + 0.5) for second in range(len(analysis.seconds))]
    canvas.path([(x, place(entry[0])) for x, entry in zip(middle, analysis.seconds)], "#2b6cb0")
    canvas.path([(x, place(min(entry[1], most))) if entry[1] else None for x, entry in zip(middle, analysis.seconds)],
                "#d64545")
    for second, entry in enumerate(analysis.seconds):
        if entry[1]:
            canvas.rect(second + 0.2, second + 0.8, place(min(entry[1], most)), place(0) - place(min(entry[1], most)),
                        "#d64545", f"{entry[1]} operations with another end")
    return top + CHART


def _latency(canvas, analysis, top):
    values = [value for _, _, median, p99 in analysis.seconds for value in (median, p99) if value]
    low, high = math.floor(math.log10(max(min(values + [1]), 0.1))), math.ceil(math.log10(max(values + [10])))

    def place(value):
        return top + CHART - CHART * (math.log10(max(value, 0.1)) - low) / max(high - low, 1)
    ticks = [(10 ** power, f"{10 ** power:g} ms") for power in range(low, high + 1)]
    _chart(canvas, top, "latency of what was answered: median (blue) and 99th percentile (grey)", ticks, place)
    for index, colour in ((3, "#9aa5b1"), (2, "#2b6cb0")):
        canvas.path([(canvas.x(second + 0.5), place(entry[index])) if entry[index] else None
                     for second, entry in enumerate(analysis.seconds)], colour)
    return top + CHART


def _axis(canvas, top, bottom):
    for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600):
        if canvas.end_s / step <= 14:
            break
    for at in range(0, int(canvas.end_s) + 1, step):
        canvas.line(canvas.x(at), top, canvas.x(at), bottom, "#eef1f4")
        canvas.text(canvas.x(at), bottom + 18, f"{at} s", "middle", FAINT, 11)
