// The checker itself: histories whose answer is known, and random small ones against a search without any cleverness.
#include "tests/sim/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "runtime/random.h"

namespace sandstore {
namespace {

using Kind = FileOperation::Kind;
using Outcome = FileOperation::Outcome;

FileOperation operation(Kind kind, uint64_t begun, uint64_t ended, Outcome outcome) {
    FileOperation made;
    made.kind = kind;
    made.begun = begun;
    made.ended = ended;
    made.outcome = outcome;
    return made;
}

FileOperation create(uint64_t begun, uint64_t ended, Outcome outcome = Outcome::kOk) {
    return operation(Kind::kCreate, begun, ended, outcome);
}

FileOperation append(uint64_t begun, uint64_t ended, uint32_t token, uint64_t offset, Outcome outcome = Outcome::kOk) {
    FileOperation made = operation(Kind::kAppend, begun, ended, outcome);
    made.token = token;
    made.bytes = 10;
    made.size = offset;
    return made;
}

FileOperation write(uint64_t begun, uint64_t ended, uint32_t token, Outcome outcome = Outcome::kOk) {
    FileOperation made = operation(Kind::kWrite, begun, ended, outcome);
    made.token = token;
    made.bytes = 10;
    return made;
}

FileOperation read(uint64_t begun, uint64_t ended, std::vector<uint32_t> contents) {
    FileOperation made = operation(Kind::kRead, begun, ended, Outcome::kOk);
    for (const uint32_t token : contents) made.contents.push_back({token});
    return made;
}

FileOperation read_pieces(uint64_t begun, uint64_t ended, std::vector<Piece> contents) {
    FileOperation made = operation(Kind::kRead, begun, ended, Outcome::kOk);
    made.contents = std::move(contents);
    return made;
}

constexpr uint64_t kNever = FileOperation::kNever;

OrderVerdict verdict(const std::vector<FileOperation>& history, size_t files = 2) {
    return check_linearizable(history, files).verdict;
}

TEST(Linearizability, one_after_the_other) {
    EXPECT_EQ(verdict({}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), append(5, 6, 8, 10), read(7, 8, {7, 8})}),
              OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), append(5, 6, 8, 10), read(7, 8, {8, 7})}),
              OrderVerdict::kNotLinearizable);
}

TEST(Linearizability, an_acknowledged_write_that_is_missing_is_found) {
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), read(5, 6, {})}), OrderVerdict::kNotLinearizable);
}

TEST(Linearizability, an_append_applied_twice_is_found) {
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), read(5, 6, {7, 7})}), OrderVerdict::kNotLinearizable);
}

TEST(Linearizability, a_stale_read_is_found_and_a_concurrent_one_is_not_stale) {
    EXPECT_EQ(verdict({create(1, 2), write(3, 4, 1), write(5, 8, 2), read(6, 7, {1})}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), write(3, 4, 1), write(5, 8, 2), read(6, 7, {2})}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), write(3, 4, 1), write(5, 6, 2), read(7, 8, {1})}), OrderVerdict::kNotLinearizable);
}

TEST(Linearizability, reads_do_not_go_back_during_one_write) {
    EXPECT_EQ(verdict({create(1, 2), write(3, 20, 1), read(4, 5, {1}), read(6, 7, {})}),
              OrderVerdict::kNotLinearizable);
    EXPECT_EQ(verdict({create(1, 2), write(3, 20, 1), read(4, 5, {}), read(6, 7, {1})}), OrderVerdict::kLinearizable);
}

TEST(Linearizability, what_is_unknown_happens_later_or_never) {
    const FileOperation lost = append(3, kNever, 7, 0, Outcome::kUnknown);
    EXPECT_EQ(verdict({create(1, 2), lost, read(4, 5, {})}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), lost, read(4, 5, {}), read(6, 7, {7})}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), lost, read(4, 5, {7}), read(6, 7, {})}), OrderVerdict::kNotLinearizable);
    EXPECT_EQ(verdict({create(1, 2), read(3, 4, {7}), append(5, kNever, 7, 0, Outcome::kUnknown)}),
              OrderVerdict::kNotLinearizable)
        << "not before it began";
}

TEST(Linearizability, two_exclusive_creations_do_not_both_succeed) {
    EXPECT_EQ(verdict({create(1, 4), create(2, 3)}), OrderVerdict::kNotLinearizable);
    EXPECT_EQ(verdict({create(1, 4), create(2, 3, Outcome::kExists)}), OrderVerdict::kLinearizable);
}

TEST(Linearizability, renames_and_lists_see_the_whole_directory) {
    FileOperation rename = operation(Kind::kRename, 3, 6, Outcome::kOk);
    rename.to = 1;
    const auto list = [](uint64_t begun, std::vector<size_t> names) {
        FileOperation made = operation(Kind::kList, begun, begun + 1, Outcome::kOk);
        made.names = std::move(names);
        return made;
    };
    EXPECT_EQ(verdict({create(1, 2), rename, list(4, {0}), list(7, {1})}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), rename, list(4, {0, 1})}), OrderVerdict::kNotLinearizable) << "both names at once";
    EXPECT_EQ(verdict({create(1, 2), rename, list(4, {})}), OrderVerdict::kNotLinearizable) << "neither name";
}

TEST(Linearizability, an_append_tells_the_offset_it_got) {
    EXPECT_EQ(verdict({create(1, 2), append(3, 6, 1, 10), append(4, 5, 2, 0)}), OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), append(3, 6, 1, 0), append(4, 5, 2, 0)}), OrderVerdict::kNotLinearizable);
}

TEST(Linearizability, parts_of_files_are_overwritten_cut_and_grow_by_holes) {
    FileOperation middle = operation(Kind::kWriteAt, 5, 6, Outcome::kOk);
    middle.token = 8;
    middle.bytes = 4;
    middle.offset = 3;
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), middle, read_pieces(7, 8, {{7, 0, 3}, {8, 0, 4}, {7, 7, 3}})}),
              OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), middle, read_pieces(7, 8, {{7, 0, 3}, {8, 0, 4}})}),
              OrderVerdict::kNotLinearizable);
    FileOperation cut = operation(Kind::kTruncate, 5, 6, Outcome::kOk);
    cut.offset = 4;
    FileOperation grow = operation(Kind::kTruncate, 7, 8, Outcome::kOk);
    grow.offset = 9;
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), cut, grow, read_pieces(9, 10, {{7, 0, 4}, {0, 0, 5}})}),
              OrderVerdict::kLinearizable);
    EXPECT_EQ(verdict({create(1, 2), append(3, 4, 7, 0), cut, grow, read_pieces(9, 10, {{7, 0, 9}})}),
              OrderVerdict::kNotLinearizable)
        << "what was cut off is there again";
}

TEST(Linearizability, a_file_moved_to_another_directory_is_in_one_of_them) {
    FileOperation rename = operation(Kind::kRename, 3, 6, Outcome::kOk);
    rename.to_directory = 1;
    const auto list = [](uint64_t begun, size_t directory, std::vector<size_t> names) {
        FileOperation made = operation(Kind::kList, begun, begun + 1, Outcome::kOk);
        made.directory = directory;
        made.names = std::move(names);
        return made;
    };
    const auto two = [](const std::vector<FileOperation>& history) {
        return check_linearizable(history, 2, 2).verdict;
    };
    EXPECT_EQ(two({create(1, 2), rename, list(4, 0, {}), list(7, 1, {0})}), OrderVerdict::kLinearizable);
    EXPECT_EQ(two({create(1, 2), rename, list(7, 0, {0})}), OrderVerdict::kNotLinearizable);
}

TEST(Linearizability, a_history_too_hard_to_judge_is_called_so) {
    std::vector<FileOperation> history = {create(1, 2)};
    for (uint32_t i = 0; i < 12; i++) history.push_back(append(3, kNever, i + 1, 0, Outcome::kUnknown));
    history.push_back(read(4, 5, {99}));
    EXPECT_EQ(check_linearizable(history, 1, 1, 1000).verdict, OrderVerdict::kUndecided);
}

// --- Against brute force

// One file, as a list of tokens, or absent.
struct File {
    bool exists = false;
    std::vector<uint32_t> tokens;
};

bool apply(const FileOperation& operation, File* file) {
    Outcome expected = file->exists ? Outcome::kOk : Outcome::kMissing;
    bool fits = true;
    switch (operation.kind) {
        case Kind::kCreate:
            expected = file->exists ? Outcome::kExists : Outcome::kOk;
            file->exists = true;
            break;
        case Kind::kWrite:
            if (file->exists) file->tokens = {operation.token};
            break;
        case Kind::kAppend:
            fits = !file->exists || operation.size == file->tokens.size() * 10;
            if (file->exists) file->tokens.push_back(operation.token);
            break;
        case Kind::kRemove:
            *file = File();
            break;
        default:
            fits = !file->exists || std::equal(file->tokens.begin(), file->tokens.end(), operation.contents.begin(),
                                               operation.contents.end(),
                                               [](uint32_t token, const Piece& piece) { return token == piece.token; });
            break;
    }
    return operation.outcome == Outcome::kUnknown || (operation.outcome == expected && fits);
}

// Tries every order of every choice of unknown operations.
bool brute_force(const std::vector<FileOperation>& history) {
    std::vector<size_t> order(history.size());
    std::iota(order.begin(), order.end(), 0);
    do {
        for (uint32_t left_out = 0; left_out < (1u << history.size()); left_out++) {
            bool possible = true;
            File file;
            for (size_t i = 0; i < order.size() && possible; i++) {
                const FileOperation& one = history[order[i]];
                if ((left_out >> order[i] & 1) != 0) {
                    possible = one.outcome == Outcome::kUnknown;
                    continue;
                }
                for (size_t later = i + 1; later < order.size(); later++) {
                    const bool there = (left_out >> order[later] & 1) == 0;
                    if (there && history[order[later]].ended < one.begun) possible = false;
                }
                possible = possible && apply(one, &file);
            }
            if (possible) return true;
        }
    } while (std::next_permutation(order.begin(), order.end()));
    return false;
}

FileOperation random_operation(RandomStream& dice, uint32_t token) {
    static constexpr Kind kKinds[] = {Kind::kCreate, Kind::kWrite, Kind::kAppend, Kind::kRemove, Kind::kRead};
    FileOperation made;
    made.kind = kKinds[dice.below(5)];
    made.begun = 1 + dice.below(12);
    made.ended = made.begun + 1 + dice.below(6);
    made.token = token;
    made.bytes = 10;
    made.size = 10 * dice.below(3);
    const uint64_t luck = dice.below(10);
    made.outcome = luck < 6 ? Outcome::kOk : luck < 8 ? Outcome::kUnknown : Outcome::kMissing;
    if (made.kind == Kind::kCreate && made.outcome == Outcome::kMissing) made.outcome = Outcome::kExists;
    if (made.outcome == Outcome::kUnknown) made.ended = kNever;
    if (made.kind == Kind::kRead) {
        for (uint64_t i = dice.below(3); i > 0; i--)
            made.contents.push_back({1 + static_cast<uint32_t>(dice.below(5))});
    }
    return made;
}

TEST(Linearizability, agrees_with_brute_force_on_random_histories) {
    RandomStream dice(1, 1);
    std::map<bool, int> seen;
    for (int round = 0; round < 4000; round++) {
        std::vector<FileOperation> history;
        if (dice.below(2) == 0) history.push_back(create(0, 1));
        const uint64_t count = 1 + dice.below(4);
        for (uint32_t i = 1; i <= count; i++) history.push_back(random_operation(dice, i));
        const bool expected = brute_force(history);
        seen[expected]++;
        std::string text;
        for (const FileOperation& one : history) text += to_text(one) + "\n";
        ASSERT_EQ(verdict(history, 1) == OrderVerdict::kLinearizable, expected) << text;
    }
    EXPECT_GT(seen[true], 300);
    EXPECT_GT(seen[false], 300);
}

}  // namespace
}  // namespace sandstore
