// The `sandstore cluster` commands, each in the file of its group: argv[0] is the command's own name.
#pragma once

namespace sandstore {

int cluster_init(int argc, char** argv);     // cluster_init.cc
int cluster_members(int argc, char** argv);  // cluster_members.cc, and the rest
int cluster_add(int argc, char** argv);
int cluster_remove(int argc, char** argv);
int cluster_promote(int argc, char** argv);
int cluster_demote(int argc, char** argv);
int cluster_rejoin(int argc, char** argv);
int cluster_replace(int argc, char** argv);
int cluster_transfer(int argc, char** argv);
int cluster_snapshot(int argc, char** argv);
int cluster_allow_deletions(int argc, char** argv);
int cluster_raise_features(int argc, char** argv);
int cluster_recover(int argc, char** argv);  // cluster_recover.cc

}  // namespace sandstore
