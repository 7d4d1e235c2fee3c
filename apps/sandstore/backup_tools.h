// What the `sandstore backup` commands share.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <json/json.h>

#include "apps/common/client_flags.h"
#include "messages/backup.pb.h"
#include "runtime/flags.h"

namespace sandstore {

// Operations of a long transfer outlast an election, whatever --timeout says.
ClientOptions backup_client_options();
// `sandstore: WHAT` on stderr; gives 1.
int backup_failed(std::string_view what);
void backup_says(std::string_view what);        // The same, for what is no failure.
std::string without_slashes(std::string path);  // At its end; "/" stays.
// How much is in a backup, and how much of that is new with it.
void tell_counts(const pb::BackupHeader& header, Json::Value* line);

int backup_create(int argc, char** argv);   // backup_create.cc
int backup_list(int argc, char** argv);     // backup_look.cc
int backup_verify(int argc, char** argv);   // backup_look.cc
int backup_delete(int argc, char** argv);   // backup_look.cc
int backup_prune(int argc, char** argv);    // backup_look.cc
int backup_restore(int argc, char** argv);  // backup_restore.cc

}  // namespace sandstore
