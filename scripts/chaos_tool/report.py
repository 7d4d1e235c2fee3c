"""The report of a run: as text, as JSON for programs, and as a picture."""
import json
import os

from chaos_tool import picture
from chaos_tool.analysis import Analysis, quantile

OUTCOMES = ["ok", "missing", "exists", "fail", "unknown", "absurd", "open"]


def seconds(value):
    return "-" if value is None else f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def spread(values):
    """median, p90 and max of some times."""
    values = [value for value in values if value is not None]
    if not values:
        return "none"
    return (f"median {seconds(quantile(values, 0.5))}, p90 {seconds(quantile(values, 0.9))}, "
            f"max {seconds(max(values))}  ({len(values)})")


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def facts_of(run, analysis):
    verdict = run.verdict or {}
    return {
        "seed": run.seed, "duration_s": run.duration_s, "mode": run.cluster.mode, "nodes": len(run.cluster.names()),
        "held": not run.problems,
        "faults": len(analysis.faults),
        "faults_skipped": sum(event["event"] == "skipped" for event in analysis.events),
        "leaders": len(analysis.leaders),
        "elections": analysis.elections,
        "unavailable_s": round(sum(b - a for a, b in analysis.pauses), 3),
        "unavailable_longest_s": round(max([b - a for a, b in analysis.pauses] + [0.0]), 3),
        "measured_s": round(analysis.end - analysis.begin, 3),
        "operations": len(analysis.operations),
        "outcomes": {kind: dict(counts) for kind, counts in analysis.outcomes().items()},
        "lost_writes": verdict.get("lost"), "double_applications": verdict.get("doubled"),
        "verdict": {key: value for key, value in verdict.items() if key != "problems"},
        "problems": run.problems,
    }


def to_text(run, analysis, facts):
    elections = analysis.elections
    outcomes = analysis.outcomes()
    used = [name for name in OUTCOMES if any(counts[name] for counts in outcomes.values())]
    verdict = run.verdict
    converged = next((event for event in analysis.events if event["event"] == "converged"), None)
    lines = [
        f"CHAOS REPORT: seed {run.seed}, {run.duration_s:g} s, {facts['nodes']} nodes, {run.cluster.mode}",
        "",
        f"Faults: {facts['faults']}" + (f", and {facts['faults_skipped']} left out because their time was not right"
                                        if facts["faults_skipped"] else ""),
        table([["", "faults", "hit the leader", "saw an election", "longest without a write"]]
              + [[kind, count, hit, elected, seconds(longest)]
                 for kind, (count, hit, elected, longest) in sorted(analysis.by_kind().items())]),
        "",
        f"Leaders: {facts['leaders']}, the last term {max([term for _, _, term in analysis.leaders] + [0])}",
        f"  from the loss of a leader to the next Became Leader:       {spread([e['leader_s'] for e in elections])}",
        f"  from the loss of a leader to the next acknowledged write:  {spread([e['write_s'] for e in elections])}",
        "",
        f"Without an acknowledged write for more than 0.5 s: {len(analysis.pauses)} times, "
        f"{facts['unavailable_s']:.1f} s of {facts['measured_s']:.0f} s together, "
        f"the longest {seconds(facts['unavailable_longest_s'])}",
        "",
        f"Operations: {facts['operations']}, {facts['operations'] / max(facts['measured_s'], 1):.0f} a second",
        table([["", *used]] + [[kind, *(counts[name] for name in used)] for kind, counts in sorted(outcomes.items())]),
        "",
    ]
    if verdict:
        lines += [
            f"Lost writes: {verdict['lost']}   (of {verdict['journal_acknowledged']} acknowledged in "
            f"{verdict['journals']} journals)",
            f"Double applications: {verdict['doubled']}   Never asked for: {verdict['alien']}   "
            f"Absurd answers: {verdict['absurd']}",
            f"Linearizable: {verdict['directories'] - verdict['not_linearizable'] - verdict['undecided']} of "
            f"{verdict['directories']} histories",
        ]
    if converged:
        lines.append(f"Converged: after {seconds(converged['seconds'])}, state hashes "
                     f"{', '.join(str(entry[2]) for entry in converged['states'])} at index "
                     f"{converged['states'][0][1]}")
    lines.append("")
    if run.problems:
        lines.append("NOT EVERYTHING HELD:")
        lines += [f"  {problem}" for problem in run.problems]
    else:
        lines.append("EVERYTHING HELD")
    return "\n".join(lines) + "\n"


def write(run, options):
    """Writes report.txt, report.json and report.svg; gives the text."""
    try:
        analysis = Analysis(run)
    except (OSError, StopIteration):
        return "The run ended before it began:\n" + "\n".join(run.problems)
    facts = facts_of(run, analysis)
    text = to_text(run, analysis, facts)
    for name, content in (("report.txt", text), ("report.json", json.dumps(facts, indent=2) + "\n"),
                          ("report.svg", picture.draw(run, analysis, facts))):
        with open(os.path.join(options.report, name), "w") as file:
            file.write(content)
    return text
