// A trace as text: one line for each delivery and each effect below it, or counted by actor and message.
#pragma once

#include <cstdio>

#include "apps/sandstore/trace_turns.h"

namespace sandstore {

void print_trace(TurnReader& trace, TurnSelection selection, std::FILE* out);
void print_trace_statistics(TurnReader& trace, TurnSelection selection, std::FILE* out);

}  // namespace sandstore
