// What this build calls itself, and what it was made of.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sandstore {

std::string version_number();  // "0.1.0"
std::string version_commit();  // "1a2b3c4d5e6f"; empty when it is not known.
std::string version_text();    // "0.1.0 (1a2b3c4d5e6f)"; without a known commit just the number.

// The build profile (scripts/profiles.txt): each program is linked with answers of its own, which CMake writes.
// build_facts.cc has those of programs that are not made from a profile, such as tests.
std::string build_profile();  // "static", or "static with CHUNK_STORE=memory".
// {"COMMUNICATOR", "tcp"}, {"DISCOVERY", "etcd"}, ...: in the order of the table.
std::vector<std::pair<std::string, std::string>> build_modules();
std::string build_module(const std::string& option);  // build_module("DISCOVERY") is "etcd".

}  // namespace sandstore
