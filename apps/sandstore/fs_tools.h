// What the `sandstore fs` commands share: their spec, the client, and how errors are told.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/client_flags.h"
#include "apps/common/remote_path.h"
#include "client/client.h"
#include "runtime/flags.h"

namespace sandstore {

struct FsSpec {
    std::string_view name{};     // "fs put"
    std::string_view summary{};  // One sentence.
    std::string_view usage{};    // "sandstore fs put LOCAL... REMOTE"
    std::vector<std::string_view> flags{};
    std::vector<std::pair<char, std::string_view>> letters{};
    size_t positionals_min = 0;
    size_t positionals_max = 0;
    std::string_view positionals_name{};
    std::string_view notes{};
    std::vector<std::string_view> required{};
};

inline constexpr size_t kAnyNumber = 100'000;

CommandSpec command_spec(const FsSpec& fs);

// Tells errors on stderr as `sandstore: PATH: WHAT` and remembers that there was one.
class FsErrors {
 public:
    void say(std::string_view path, const ClientStatus& status);
    void say(std::string_view path, std::string_view what);
    // Whether `place` is not yet made of another source, which is said otherwise.
    bool may_make(Made& made, std::string_view source, std::string_view place);
    int exit_status() const { return failed_ ? 1 : 0; }

 private:
    bool failed_ = false;
};

// Parses the command line, does the work with a client and the paths given, and gives the exit status.
using FsWork = std::function<void(Client&, const std::vector<std::string>& paths, FsErrors&)>;
int run_fs(int argc, char** argv, const CommandSpec& spec, const FsWork& work);

// True for a directory; a path that ends with '/' counts as one for messages only.
bool is_directory(const pb::Attributes& attributes);
std::string shown(std::string_view name);  // one_line() on a terminal, the bytes themselves elsewhere.

// The commands, each in the file of its group: argv[0] is the command's own name.
int fs_ls(int argc, char** argv);        // fs_look.cc
int fs_tree(int argc, char** argv);      // fs_look.cc
int fs_stat(int argc, char** argv);      // fs_look.cc
int fs_df(int argc, char** argv);        // fs_look.cc
int fs_mkdir(int argc, char** argv);     // fs_change.cc
int fs_rm(int argc, char** argv);        // fs_change.cc
int fs_mv(int argc, char** argv);        // fs_change.cc
int fs_truncate(int argc, char** argv);  // fs_change.cc
int fs_put(int argc, char** argv);       // fs_transfer.cc
int fs_get(int argc, char** argv);       // fs_transfer.cc
int fs_cat(int argc, char** argv);       // fs_transfer.cc

}  // namespace sandstore
