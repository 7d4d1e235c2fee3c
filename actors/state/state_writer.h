// Writes a frozen state down, piece by piece (state_format.h). A plain object, with a copy of the state of its own: the
// one that it was taken from goes on meanwhile. A kind of state derives its writer from this one and says what the next
// record is.
#pragma once

#include <memory>
#include <string>

#include "actors/state/state_format.h"

namespace sandstore {

class ReplicatedState;

class StateWriter {
 public:
    StateWriter() = default;
    StateWriter(const StateWriter&) = delete;  // Cursors point into its own copy of the state.
    StateWriter& operator=(const StateWriter&) = delete;
    virtual ~StateWriter() = default;

    bool done() const { return done_; }
    std::string next_piece();  // Never empty; checked that it is not done.

    // The frozen state, to be let go in portions (ReplicatedState::discard). The writer is of no more use.
    virtual std::unique_ptr<ReplicatedState> take() = 0;

 protected:
    StateEncoder out_;

 private:
    // Writes at most one record, and goes on to the next one or to the next kind. False: that was the last one.
    virtual bool step() = 0;

    bool done_ = false;
};

}  // namespace sandstore
