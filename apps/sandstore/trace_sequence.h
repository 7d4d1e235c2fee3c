// A slice of one or several traces as a sequence diagram in Mermaid's language, for people who would rather look.
#pragma once

#include <cstdio>
#include <memory>
#include <vector>

#include "apps/sandstore/trace_turns.h"

namespace sandstore {

struct SequenceOptions {
    bool by_node = false;  // One participant a node, instead of one an actor.
    size_t arrows_max = 100;
};

// Traces of several nodes are merged by their wall clocks.
void print_sequence(const std::vector<std::unique_ptr<TurnReader>>& traces, const TurnSelection& selection,
                    const SequenceOptions& options, std::FILE* out);

}  // namespace sandstore
