// The StateMachine of a file system: actors/state/state_machine.h with a FileState in it.
#pragma once

#include <memory>

#include "actors/fs/file_state.h"
#include "actors/state/state_machine.h"

namespace sandstore {

inline std::unique_ptr<StateMachine> make_file_state_machine() {
    return std::make_unique<StateMachine>(std::make_unique<FileState>());
}

// What such a one holds: of no other may it be asked.
inline const FileState& file_state_of(const StateMachine& machine) {
    return static_cast<const FileState&>(machine.state());
}

}  // namespace sandstore
