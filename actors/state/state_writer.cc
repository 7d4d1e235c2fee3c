#include "actors/state/state_writer.h"

#include "runtime/check.h"

namespace sandstore {

std::string StateWriter::next_piece() {
    SANDSTORE_CHECK(!done_, "nothing is left to write");
    out_.reserve(kStatePieceBytes / 4);
    for (size_t i = 0; i < kStatePieceRecords && !done_ && out_.size() < kStatePieceBytes; ++i) done_ = !step();
    return out_.take();
}

}  // namespace sandstore
