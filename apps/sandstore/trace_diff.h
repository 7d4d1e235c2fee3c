// Where two traces of the same node part: two builds over the same run, or two runs. Deliveries are matched by what
// caused them, not by their numbers, so that one more message early on does not make all that follows different.
#pragma once

#include <cstdio>

#include "apps/sandstore/trace_turns.h"

namespace sandstore {

// Prints the first difference with the chain of deliveries that led to it, then how much differs. True: no difference.
bool diff_traces(TurnReader& left, TurnReader& right, TurnSelection selection, std::FILE* out);

}  // namespace sandstore
