// A client whose every operation goes into the history.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"
#include "tests/history/app/history_writer.h"
#include "tests/sim/linearizability.h"

namespace sandstore {

struct LoadSettings {
    std::vector<std::string> servers;
    std::string directory = "/chaos";
    uint64_t groups = 3;    // Clients of a group share directories.
    uint64_t clients = 3;   // Of each group.
    uint64_t journals = 4;  // Clients that each keep a journal.
    uint64_t files = 3;     // Of each directory.
    uint64_t round = 48;    // Operations in one directory; then the group goes on to a new one.
    uint64_t pause_ms = 20;
    uint64_t timeout_ms = 1'500;  // Short enough for outcomes that stay unknown.
    uint64_t seed = 1;
};

class RecordedClient {
 public:
    RecordedClient(const LoadSettings& settings, uint64_t number, HistoryWriter& history);

    // Gives whether the outcome is known.
    bool run(const std::string& directory, FileOperation operation);
    // The number into a journal: appended to its file, or as a file of its own. Gives whether it is known to be there.
    bool note(const std::string& journal, uint64_t number);
    bool make(const std::string& journal, uint64_t number);

    // Not recorded. True when the directory is there afterwards.
    bool prepare_directory(const std::string& path);
    bool prepare_file(const std::string& path);
    std::optional<std::vector<std::string>> names(const std::string& directory);
    std::optional<std::string> content(const std::string& path);

 private:
    Message call(Message request);

    uint64_t number_;
    uint64_t timeout_us_;
    HistoryWriter& history_;
    Client client_;
};

std::string journal_file(const std::string& journal);
std::string made_directory(const std::string& journal);

}  // namespace sandstore
