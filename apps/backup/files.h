// Small things about local files that the backup commands share.
#pragma once

#include <string>
#include <string_view>

namespace sandstore {

// Each gives 0 or an errno.
int write_all(int descriptor, std::string_view bytes);
int sync_directory_of(const std::string& path);  // The directory that holds it.
int make_directories(const std::string& path);   // As mkdir -p.
// Written beside, synced and renamed.
int write_file_durably(const std::string& path, std::string_view bytes);
bool exists(const std::string& path);

// The first Ctrl-C lets a command end in order; the second one ends the process.
void catch_interrupts();
bool interrupted();
inline constexpr int kInterruptedStatus = 130;  // As a shell reports a command that Ctrl-C ended.

}  // namespace sandstore
