// Builds a replicated state from the content of a snapshot (state_format.h), piece by piece, beside whatever state is
// in use. Trusts nothing that it reads. A plain object. A kind of state derives its restorer from this one, which says
// what each record means, and what makes a state whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "actors/state/state_format.h"

namespace sandstore {

class ReplicatedState;

class StateRestorer {
 public:
    StateRestorer() = default;
    StateRestorer(const StateRestorer&) = delete;
    StateRestorer& operator=(const StateRestorer&) = delete;
    virtual ~StateRestorer() = default;

    // The next piece. False: the content is not usable, and problem() says why; nothing more may be read.
    bool read(std::string_view piece);
    // After the last piece: is the state whole, and the one after entry `index`?
    bool finish(uint64_t index);
    std::string_view problem() const { return problem_; }  // A sentence.

    // What was built so far: after finish() to be used, else to be let go in portions (ReplicatedState::discard). The
    // restorer is of no more use; taken once more, the state holds nothing.
    virtual std::unique_ptr<ReplicatedState> take() = 0;

 protected:
    // What is wrong, of static storage, or nothing.
    using Problem = std::string_view;

 private:
    // Of this kind, which may be anything. Fields that are cut short read as 0.
    virtual Problem read_record(uint8_t kind, StateDecoder& in) = 0;
    virtual std::string check_whole(uint64_t index) = 0;  // What is wrong, or nothing.

    std::string problem_;
};

}  // namespace sandstore
