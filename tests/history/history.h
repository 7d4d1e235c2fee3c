// What clients asked of a real cluster and what they were told, as a text file: one line when an operation begins, one
// when its outcome is known. A line that is missing (the program was killed) leaves the outcome open, as it should.
//
//   invoke <us> <operation> <client> <directory> create|remove|read|stat <file>
//   invoke <us> <operation> <client> <directory> write|append <file> <bytes>     the token is the operation's number
//   invoke <us> <operation> <client> <directory> rename <file> <to>
//   invoke <us> <operation> <client> <directory> list
//   invoke <us> <operation> <client> <journal> note|make <number>                appended to a file | a file of its own
//   ok <us> <operation> [<size of a stat> | <offset of an append> | <tokens of a read, names of a list, by commas>]
//   missing|exists|fail|unknown|absurd <us> <operation> [<what was said>]
//   final <us> note|make <journal> <numbers by commas>                           what the journal holds at the end
//
// "fail": it was refused and did not happen. "unknown": it may have happened, or may still. "absurd": an answer that no
// state of the store explains. Times are of the monotonic clock. An empty list is "-".
#pragma once

#include <cstdint>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/linearizability.h"

namespace sandstore {

// What happened to the numbers 1, 2, ... of a journal, which has one writer.
struct Journal {
    enum class Fate : uint8_t { kOpen, kAcknowledged, kFailed, kExists };
    std::map<uint64_t, Fate> fates;
    std::optional<std::vector<uint64_t>> at_the_end;
};

struct RecordedHistory {
    std::map<std::string, std::vector<FileOperation>> directories;
    std::map<std::string, Journal> journals;   // "note /chaos/j1": two for each.
    std::vector<std::string> absurd;           // Answers, as they stand in the file.
    std::map<std::string, uint64_t> outcomes;  // How often.
    uint64_t operations = 0;
};

// Nothing, and a sentence that names the line, when the text is not a history.
std::optional<RecordedHistory> read_history(std::istream& text, std::string* error);

std::string_view word_of(FileOperation::Kind kind);
std::string join_numbers(const std::vector<uint64_t>& numbers);

}  // namespace sandstore
