// The actors of this build, by name, with what makes one: for running an actor again from a trace.
#pragma once

#include <map>
#include <string>

#include "apps/modules/modules.h"
#include "runtime/actor.h"

namespace sandstore {

const std::map<std::string, ReplayableActor>& replayable_actors();

}  // namespace sandstore
