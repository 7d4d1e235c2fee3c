// The commands of the `sandstore` binary. Each is given what follows `sandstore`: argv[0] is its own name. It reads its
// flags, does its work and gives the exit status: 0 done, 1 failed, 2 not understood.
#pragma once

namespace sandstore {

int node_command(int argc, char** argv);     // Runs a node until it is told to stop.
int demo_command(int argc, char** argv);     // A throw-away cluster on this machine.
int status_command(int argc, char** argv);   // What the cluster is doing.
int top_command(int argc, char** argv);      // The same, live in a terminal.
int health_command(int argc, char** argv);   // Whether one node serves: 0 or 1, for health checks.
int cluster_command(int argc, char** argv);  // cluster init: the member records in etcd.
int backup_command(int argc, char** argv);   // Copies of namespace and file data.
int doctor_command(int argc, char** argv);   // Whether a machine is fit for a node.
int fs_command(int argc, char** argv);       // Files and directories.
int bench_command(int argc, char** argv);    // Load generator.
int trace_command(int argc, char** argv);    // Recorded traces: print, count, replay.
int version_command(int argc, char** argv);  // Version, build profile and modules.

}  // namespace sandstore
