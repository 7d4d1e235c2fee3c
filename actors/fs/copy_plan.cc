#include "actors/fs/copy_plan.h"

#include <algorithm>

namespace sandstore {

size_t CopyHomes::answering_homes() const {
    return static_cast<size_t>(std::ranges::count_if(answering, [&](const auto& node) { return stays(node); }));
}

std::vector<std::string> copies_to_make(const ChunkCopies& chunk, const CopyHomes& nodes) {
    std::vector<std::string> lacking;
    if (chunk.holders.empty()) return lacking;
    for (const std::string& node : chunk.places) {
        if (nodes.stays(node) && nodes.answers(node) && !chunk.holders.contains(node)) lacking.push_back(node);
    }
    return lacking;
}

namespace {

// Which of the places may go: those that are there to stay have intact copies, as many as promised. Where that cannot
// be, because nodes are away, those who leave may still go when every node that could have a copy has one, and they are
// at least as many as acknowledge a write. The place of a member that is away is kept until it has been filled.
std::vector<std::string> places_left(const ChunkCopies& chunk, const CopyHomes& nodes) {
    const auto stays = [&](const std::string& node) { return nodes.stays(node); };
    const auto intact = [&](const std::string& node) { return stays(node) && chunk.holders.contains(node); };
    const auto verified = static_cast<size_t>(std::ranges::count_if(chunk.places, intact));
    const size_t possible = std::min<size_t>(nodes.copies, nodes.answering_homes());
    const bool all = verified >= nodes.copies;
    const bool leavers = verified >= nodes.copies / 2 + 1 && verified >= possible;
    std::vector<std::string> left;
    for (const std::string& node : chunk.places) {
        const bool may_go = !stays(node) && (all || (leavers && !nodes.homes.contains(node)));
        if (!may_go) left.push_back(node);
    }
    return left;
}

}  // namespace

std::vector<std::string> next_places(const ChunkCopies& chunk, const CopyHomes& nodes, const ChooseAnother& choose) {
    const auto staying = static_cast<size_t>(
        std::ranges::count_if(chunk.places, [&](const std::string& node) { return nodes.stays(node); }));
    if (chunk.holders.empty() || nodes.copies == 0) return chunk.places;  // Nothing to copy from.
    std::vector<std::string> places = chunk.places;
    for (size_t i = staying; i < nodes.copies; ++i) {
        std::optional<std::string> another;
        for (const std::string& holder : chunk.holders) {
            if (nodes.stays(holder) && std::ranges::count(places, holder) == 0) another = holder;
        }
        if (!another) another = choose(places);
        if (!another) break;
        places.push_back(*another);
    }
    return places.size() > chunk.places.size() ? places : places_left(chunk, nodes);
}

bool has_too_few_copies(const ChunkCopies& chunk, const CopyHomes& nodes) {
    const auto counts = [&](const std::string& node) {
        return chunk.holders.contains(node) || (nodes.stays(node) && !nodes.answers(node));
    };
    return static_cast<size_t>(std::ranges::count_if(chunk.places, counts)) < nodes.copies;
}

}  // namespace sandstore
