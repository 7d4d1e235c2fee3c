"""What scripts/chaos is made of: schedule (what goes wrong when), links (the network between local nodes), local and
containers (the two kinds of clusters), faults (what a fault does to a cluster), watch (leaders), run (one run from the
schedule to the verdict), analysis, report and picture (what came of it)."""
