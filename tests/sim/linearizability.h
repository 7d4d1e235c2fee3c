// Is a history of concurrent file operations linearizable: is there an order, one operation after the other, that fits
// every answer and in which no operation comes before one that had ended when it began? After Wing and Gong 1993, with
// Lowe's memoization: a set of operations done and the state they lead to is looked at once.
//
// The files of directories between which files are renamed are one object; what is done elsewhere is checked apart,
// since linearizability is local (Herlihy and Wing 1990). An operation with an unknown outcome may take effect at any
// time after it began, or never. What this does not cover: metadata besides names, sizes and contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sandstore {

// A run of bytes of a file: those of a token from `first` on. Token 0: zeros that nobody wrote.
struct Piece {
    static constexpr uint64_t kWhole = 0;

    uint32_t token = 0;
    uint64_t first = 0;
    uint64_t bytes = kWhole;  // Of what a read saw also kWhole: all of the token.
};

struct FileOperation {
    enum class Kind : uint8_t { kCreate, kWrite, kAppend, kWriteAt, kTruncate, kRemove, kRename, kRead, kStat, kList };
    // kRefused: certainly not done, and not to be judged.
    enum class Outcome : uint8_t { kOk, kMissing, kExists, kRefused, kUnknown };
    static constexpr uint64_t kNever = UINT64_MAX;

    Kind kind = Kind::kRead;
    size_t directory = 0;
    size_t file = 0;  // Within its directory; not for kList.
    size_t to_directory = 0;
    size_t to = 0;        // kRename.
    uint32_t token = 0;   // kWrite makes it the contents, kAppend adds it, kWriteAt puts it at `offset`.
    uint64_t bytes = 0;   // The token's length.
    uint64_t offset = 0;  // kWriteAt; kTruncate: the new size.
    uint64_t begun = 0;
    uint64_t ended = kNever;  // kNever with an unknown outcome.
    Outcome outcome = Outcome::kUnknown;
    std::vector<Piece> contents;  // kRead.
    uint64_t size = 0;            // kStat; kAppend: the offset it got.
    std::vector<size_t> names;    // kList, sorted.
};

enum class OrderVerdict : uint8_t { kLinearizable, kNotLinearizable, kUndecided };

struct LinearizabilityResult {
    OrderVerdict verdict = OrderVerdict::kLinearizable;
    size_t states = 0;        // Looked at.
    std::string explanation;  // Of kNotLinearizable: the longest part that can be ordered, and what does not fit.
};

// The operations of directories with `files` files each, none of which exist at the start.
LinearizabilityResult check_linearizable(const std::vector<FileOperation>& history, size_t files,
                                         size_t directories = 1, size_t states_max = 50'000);

std::string to_text(const FileOperation& operation);

}  // namespace sandstore
