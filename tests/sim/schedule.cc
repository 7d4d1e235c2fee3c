#include "tests/sim/schedule.h"

#include <array>
#include <charconv>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

struct KindFacts {
    std::string_view name;
    std::vector<std::string_view> arguments;
};

// In the order of SimEventKind. Nodes and clients count from 1, files from 0; node 0 is the leader at that moment;
// `side` has one bit for each node.
const std::array<KindFacts, 60>& kind_table() {
    static const std::array<KindFacts, 60> table = {{
        {"kill", {"node", "for_us"}},
        {"power_cut", {"node", "for_us"}},
        {"kill_all", {"for_us"}},
        {"power_cut_all", {"for_us"}},
        {"power_failing", {"node", "operations", "for_us"}},
        {"pause", {"node", "for_us"}},
        {"slow_turns", {"node", "turn_us", "for_us"}},
        {"silent_death", {"node", "for_us"}},
        {"aimed", {"node", "message", "nth", "how", "for_us"}},
        {"partition", {"side", "for_us"}},
        {"isolate_leader", {"for_us"}},
        {"client_cut", {"client", "node", "for_us"}},
        {"one_way", {"from", "to", "for_us"}},
        {"flapping_link", {"node", "other", "period_us", "for_us"}},
        {"bridge", {"node", "side", "for_us"}},
        {"slow_link", {"from", "to", "extra_us", "for_us"}},
        {"lossy_network", {"per_mille", "for_us"}},
        {"held_link", {"from", "to", "for_us"}},
        {"lost_connection", {"node", "other", "for_us"}},
        {"slow_disk", {"node", "sync_us", "for_us"}},
        {"hung_disk", {"node", "for_us"}},
        {"sync_error", {"node", "skip", "for_us"}},
        {"disk_error", {"node", "operation", "skip", "for_us"}},
        {"full_disk", {"node", "for_us"}},
        {"short_disk", {"node", "for_us"}},
        {"flipped_bit", {"node", "where", "for_us"}},
        {"wiped_disk", {"node", "for_us"}},
        {"old_copy", {"node", "age_us", "for_us"}},
        {"lost_tail", {"node", "blocks", "starve_us", "for_us"}},
        {"damaged_tail", {"node", "where", "for_us"}},
        {"lost_directory", {"node", "which", "for_us"}},
        {"swapped_disks", {"node", "other", "for_us"}},
        {"damaged_snapshot", {"node", "where"}},
        {"lying_write", {"node", "of", "shift"}},
        {"wall_jump", {"node", "us"}},
        {"etcd_down", {"for_us"}},
        {"etcd_empty", {"for_us"}},
        {"etcd_wrong", {"how", "for_us"}},
        {"etcd_differs", {"node", "how", "for_us"}},
        {"transfer", {"node"}},
        {"snapshot", {"node"}},
        {"raise_features", {"node"}},
        {"add_node", {"node"}},
        {"promote_node", {"node"}},
        {"demote_node", {"node"}},
        {"remove_node", {"node"}},
        {"swap_nodes", {"node", "other"}},
        {"create", {"client", "file"}},
        {"write", {"client", "file", "token", "bytes"}},
        {"append", {"client", "file", "token", "bytes"}},
        {"write_at", {"client", "file", "token", "bytes", "offset"}},
        {"truncate", {"client", "file", "bytes"}},
        {"remove", {"client", "file"}},
        {"rename", {"client", "file", "to"}},
        {"read", {"client", "file"}},
        {"stat", {"client", "file"}},
        {"list", {"client", "directory"}},
        {"own_directory", {"client"}},
        {"hold", {"client", "for_us"}},
        {"export", {"client"}},
    }};
    return table;
}

bool parse_number(std::string_view text, int64_t* number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    line = line.substr(0, line.find('#'));
    for (size_t begin = 0; begin < line.size();) {
        if (line[begin] == ' ') {
            begin++;
            continue;
        }
        const size_t end = std::min(line.find(' ', begin), line.size());
        words.push_back(line.substr(begin, end - begin));
        begin = end;
    }
    return words;
}

bool parse_event(const std::vector<std::string_view>& words, SimEvent* event) {
    int64_t at_us = 0;
    if (words.size() < 3 || !parse_number(words[1], &at_us) || at_us < 0) return false;
    event->at_us = static_cast<uint64_t>(at_us);
    for (size_t kind = 0; kind < kind_table().size(); kind++) {
        const KindFacts& facts = kind_table()[kind];
        if (facts.name != words[2]) continue;
        event->kind = static_cast<SimEventKind>(kind);
        if (words.size() != 3 + facts.arguments.size()) return false;
        for (size_t i = 0; i < facts.arguments.size(); i++) {
            const std::string_view word = words[3 + i];
            const size_t equals = word.find('=');
            int64_t value = 0;
            if (equals == std::string_view::npos || word.substr(0, equals) != facts.arguments[i]) return false;
            if (!parse_number(word.substr(equals + 1), &value)) return false;
            event->arguments.push_back(value);
        }
        return true;
    }
    return false;
}

bool parse_line(std::string_view line, Schedule* schedule) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty()) return true;
    if (words[0] == "seed" && words.size() == 2) {
        const auto [end, error] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), schedule->seed);
        return error == std::errc() && end == words[1].data() + words[1].size();
    }
    if (words[0] == "set" && words.size() == 3) {
        const std::string name(words[1]);
        return default_settings().contains(name) && parse_number(words[2], &schedule->settings[name]);
    }
    if (words[0] != "at") return false;
    SimEvent event;
    if (!parse_event(words, &event)) return false;
    schedule->events.push_back(std::move(event));
    return true;
}

}  // namespace

std::string_view name_of(SimEventKind kind) {
    return kind_table().at(static_cast<size_t>(kind)).name;
}

const std::vector<std::string_view>& argument_names_of(SimEventKind kind) {
    return kind_table().at(static_cast<size_t>(kind)).arguments;
}

bool is_operation(SimEventKind kind) {
    return kind >= SimEventKind::kCreate && kind <= SimEventKind::kList;
}

bool is_side_work(SimEventKind kind) {
    return kind > SimEventKind::kList;
}

bool is_request(SimEventKind kind) {
    return kind >= SimEventKind::kTransfer && kind < SimEventKind::kCreate;
}

const std::map<std::string, int64_t>& default_settings() {
    static const std::map<std::string, int64_t> defaults = {
        {"nodes", 3},
        {"spares", 0},  // Nodes that exist but are no members at the start.
        {"clients", 3},
        {"pipeline", 1},  // Operations that a client has under way at once.
        {"directories", 2},
        {"files", 3},  // In each directory.
        {"run_us", 1'500'000},
        {"core_first", 0},  // When all is healed but one node: that is killed, cut off, stopped or gone (1 to 4).
        {"election_min_ms", 150},
        {"election_max_ms", 300},
        {"heartbeat_ms", 30},
        {"append_window", 16},
        {"append_bytes_max", 16 * 1024},
        {"cache_bytes", 64 * 1024},
        {"segment_bytes", 256 * 1024},
        {"uncommitted_bytes", 0},  // 0: as the engine likes.
        {"older", 0},              // Not 0: some nodes run an older version until their first restart.
        {"mailbox_messages", 0},   // That wait for an actor at most; 0: as many as in real nodes.
        {"varied", 0},             // Not 0: nodes differ in sizes and limits.
        {"patience_max", 1},       // Election timeouts of a node are up to so many times as long as those of another.
        {"hard_boot", 0},          // Not 0: network, disks and clocks are bad while the cluster begins, too.
        {"etcd_differs", 0},  // Not 0: one node is told another member list for a while at the start; which, and how.
        {"snapshot_log_bytes", 0},
        {"snapshot_piece_bytes", 4096},
        {"lease_reads", 0},
        {"any_node_reads", 0},  // Percent of the queries.
        {"priorities", 0},      // Drawn from the seed when not 0.
        {"chunk_bytes_max", 64 * 1024},
        {"volume_bytes", 1024 * 1024},
        {"vacuum_percent", 30},
        {"session_timeout_us", 3'600'000'000},
        {"sessions_max", 1000},
        {"collects",
         0},  // Not 0: chunks that no file has are soon deleted, and the run goes on for so long at its end.
        {"operation_timeout_us", 3'000'000},
        {"attempt_timeout_ms", 500},
        {"clock_skew_ppm", 0},  // Up to so much, in either direction, on each machine.
        {"loss_per_mille", 0},
        {"duplicate_per_mille", 0},
        {"late_per_mille", 0},  // Messages of which a copy comes long after, over whatever has happened since.
        {"delay_max_us", 300},
        {"reorder", 0},
        {"disk_us", 20},
        {"sync_us", 150},
        {"disk_jitter_us", 200},
    };
    return defaults;
}

int64_t Schedule::setting(const std::string& name) const {
    const auto found = settings.find(name);
    if (found != settings.end()) return found->second;
    const auto known = default_settings().find(name);
    SANDSTORE_CHECK(known != default_settings().end(), "no setting ", name);
    return known->second;
}

std::string to_text(const Schedule& schedule) {
    std::string text = str_cat("seed ", schedule.seed, "\n");
    for (const auto& [name, value] : schedule.settings) str_append(&text, "set ", name, " ", value, "\n");
    for (const SimEvent& event : schedule.events) {
        str_append(&text, "at ", event.at_us, " ", name_of(event.kind));
        const std::vector<std::string_view>& names = argument_names_of(event.kind);
        for (size_t i = 0; i < names.size(); i++) str_append(&text, " ", names[i], "=", event.argument(i));
        text += '\n';
    }
    return text;
}

std::optional<Schedule> parse_schedule(std::string_view text, std::string* error) {
    Schedule schedule;
    size_t number = 1;
    for (size_t begin = 0; begin < text.size(); number++) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = text.substr(begin, end - begin);
        if (!parse_line(line, &schedule)) {
            *error = str_cat("line ", number, " is no setting and no event: ", line);
            return std::nullopt;
        }
        begin = end + 1;
    }
    return schedule;
}

}  // namespace sandstore
