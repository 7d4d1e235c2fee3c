#include "actors/state/state_restorer.h"

#include "runtime/check.h"

namespace sandstore {

bool StateRestorer::read(std::string_view piece) {
    SANDSTORE_CHECK(problem_.empty(), "read on after: ", problem_);
    StateDecoder in(piece);
    Problem problem;
    if (piece.size() > kStatePieceBytesMax) problem = "A piece is too long";
    while (problem.empty() && !in.at_end()) {
        problem = read_record(in.byte(), in);
        if (in.damaged()) problem = "A record is cut short";
    }
    problem_ = problem;
    return problem_.empty();
}

bool StateRestorer::finish(uint64_t index) {
    SANDSTORE_CHECK(problem_.empty(), "finished after: ", problem_);
    problem_ = check_whole(index);
    return problem_.empty();
}

}  // namespace sandstore
