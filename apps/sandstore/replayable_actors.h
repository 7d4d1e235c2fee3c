// The kinds of actors, by name, with what makes one: for running an actor again from a trace.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/actor.h"

namespace sandstore {

struct ReplayableActor {
    pb::ActorKind kind;
    std::function<std::unique_ptr<Actor>()> make;
};

const std::map<std::string, ReplayableActor>& replayable_actors();

}  // namespace sandstore
