"""The command line of scripts/chaos."""
import argparse
import os
import random
import sys
import traceback

import harness
from chaos_tool import schedule

EXIT_HELD, EXIT_BROKEN, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
LOADS = {"light": {"groups": 2, "clients": 3, "journals": 2, "pause_ms": 50},
         "normal": {"groups": 3, "clients": 3, "journals": 4, "pause_ms": 40}}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/chaos", description="Breaks a cluster under load, heals it, and checks what is left.",
        epilog="faults: " + "; ".join(f"{kind}: {what}" for kind, (_, _, _, what) in schedule.KINDS.items()) +
               ". Exit status: 0 everything held, 1 something did not, 2 wrong command line or something is missing, "
               "130 interrupted (and healed).")
    parser.add_argument("--seed", type=int, help="all that goes wrong follows from it (default: drawn, and shown)")
    parser.add_argument("--duration", default="2m", help="such as 90s, 10m (default: 2m)")
    parser.add_argument("--dry-run", action="store_true", help="print the schedule, touch nothing")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_const", dest="mode", const=schedule.LOCAL,
                       help="a cluster of its own on this machine, of the programs in build/release (default)")
    where.add_argument("--compose", action="store_const", dest="mode", const=schedule.COMPOSE,
                       help="a cluster of its own in containers, of the image SANDSTORE_IMAGE")
    parser.add_argument("--faults", help="only these, comma separated")
    parser.add_argument("--nodes", type=int, default=3, help="how many (default: 3; in containers always 3)")
    parser.add_argument("--node-flag", action="append", default=[], metavar="NAME=VALUE",
                        help="a flag for every local node, such as lease-reads=true; again for more")
    parser.add_argument("--load", choices=LOADS, default="normal", help="how many clients (default: normal)")
    parser.add_argument("--report", metavar="DIR", help="where report, picture, events, history and logs go "
                                                        "(default: run/chaos/seed-N)")
    parser.set_defaults(mode=schedule.LOCAL)
    options = parser.parse_args(arguments)
    try:
        options.duration_s = schedule.parse_duration(options.duration)
        options.kinds = (schedule.parse_kinds(options.faults, options.mode) if options.faults
                         else schedule.kinds_of(options.mode))
        if not 2 <= options.nodes <= 9:
            raise ValueError("--nodes: expected 2 to 9")
        if options.mode == schedule.COMPOSE and options.nodes != 3:
            raise ValueError("--nodes: docker-compose.yaml has three")
        if options.node_flag and options.mode == schedule.COMPOSE:
            raise ValueError("--node-flag: local nodes only; containers take theirs from docker-compose.yaml")
        if any("=" not in flag for flag in options.node_flag):
            raise ValueError("--node-flag: expected NAME=VALUE")
        if options.duration_s < 10:
            raise ValueError("--duration: at least 10s")
    except ValueError as problem:
        parser.error(str(problem))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1 << 31)
    options.report = options.report or os.path.join(harness.SOURCE_DIR, "run", "chaos", f"seed-{options.seed}")
    return options


def missing():
    """What has to be built first, as a sentence."""
    programs = {"sandstore": harness.SANDSTORE, "chaos_load": os.path.join(harness.BINARY_DIR, "tests", "chaos_load"),
                "chaos_check": os.path.join(harness.BINARY_DIR, "tests", "chaos_check")}
    absent = [name for name, path in programs.items() if not os.access(path, os.X_OK)]
    if absent:
        return (f"{', '.join(absent)}: not in {harness.BINARY_DIR}; build with: cmake --preset release && "
                f"cmake --build --preset release --target {' '.join(absent)}")
    return None


def make_cluster(options):
    if options.mode == schedule.COMPOSE:
        from chaos_tool.containers import ComposeCluster
        return ComposeCluster(options.report)
    from chaos_tool.local import LocalCluster
    return LocalCluster(options.nodes, dict(flag.split("=", 1) for flag in options.node_flag))


def main(arguments):
    options = parse(arguments)
    faults = schedule.draw(options.seed, options.duration_s, options.nodes, options.kinds, options.mode)
    text = schedule.to_text(options.seed, options.duration_s, options.nodes, options.kinds, options.mode, faults)
    if options.dry_run:
        print(text, end="")
        return EXIT_HELD
    if problem := missing():
        print(f"scripts/chaos: {problem}", file=sys.stderr)
        return EXIT_USAGE
    os.makedirs(options.report, exist_ok=True)
    with open(os.path.join(options.report, "schedule.txt"), "w") as file:
        file.write(text)
    print(f"seed {options.seed}: {len(faults)} faults in {options.duration_s:g} s; all goes to {options.report}",
          flush=True)
    return execute(options, faults)


def execute(options, faults):
    from chaos_tool.run import Interrupted, Run
    from chaos_tool import report
    try:
        cluster = make_cluster(options)
    except (OSError, RuntimeError) as problem:
        print(f"scripts/chaos: {problem}", file=sys.stderr)
        return EXIT_USAGE
    try:
        run = Run(cluster, faults, options.duration_s, options.seed, options.report,
                  say=lambda text: print(text, flush=True), clients=LOADS[options.load])
        run.take_signals()
        try:
            held = run.execute()
        except Interrupted as interrupted:
            print(f"{interrupted}: interrupted; everything is healed" if not run.problems else
                  "interrupted; " + "; ".join(run.problems), flush=True)
            return EXIT_INTERRUPTED
        except (AssertionError, RuntimeError, OSError) as problem:
            traceback.print_exc()
            run.problems.append(str(problem))
            held = False
        print(report.write(run, options), flush=True)
        return EXIT_HELD if held else EXIT_BROKEN
    finally:
        cluster.close()
