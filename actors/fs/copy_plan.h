// Where the copies of one chunk are, and where they shall be. A plain object: the Mover fills it in page by page and
// carries out what it says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sandstore {

// What is known of the nodes, for all chunks alike.
struct CopyHomes {
    std::set<std::string> homes;      // Members that are not about to leave: only they keep copies.
    std::set<std::string> gone;       // Nodes that have been away for so long that their copies do not count.
    std::set<std::string> answering;  // Nodes that told what they hold.
    uint32_t copies = 0;              // Of each chunk; at most as many as there are homes.

    bool stays(const std::string& node) const { return homes.contains(node) && !gone.contains(node); }
    bool answers(const std::string& node) const { return answering.contains(node); }
    size_t answering_homes() const;
};

struct ChunkCopies {
    std::vector<std::string> places;  // As the namespace has them.
    std::set<std::string> holders;    // Nodes with an intact copy on disk; of those that answer.
};

// Nodes that have a place, are there to stay and lack their copy: it can be made now. Empty without a holder.
std::vector<std::string> copies_to_make(const ChunkCopies& chunk, const CopyHomes& nodes);

// The places that the chunk shall have from now on; the same as before when there is nothing to change. One step at a
// time: a new home is added first, and what is not there to stay goes when intact copies stand in its place.
using ChooseAnother = std::function<std::optional<std::string>(const std::vector<std::string>& taken)>;
std::vector<std::string> next_places(const ChunkCopies& chunk, const CopyHomes& nodes, const ChooseAnother& choose);

// Whether fewer copies than promised are where they should be. A node counts that is away for a short time.
bool has_too_few_copies(const ChunkCopies& chunk, const CopyHomes& nodes);

}  // namespace sandstore
