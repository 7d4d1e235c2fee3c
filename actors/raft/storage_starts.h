// The starts of a storage: each one is numbered and random, is written into the directory before anybody hears of it,
// and is bound to the node's vote by the log when the leader hears of it. A copy of the directory that is older than
// the last start known elsewhere lacks it: what was promised since then is not there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sandstore {

// The newest ones are kept. Of an older one nothing is claimed.
inline constexpr size_t kStartsKept = 64;

// What comes after `starts` (newest last; empty: the first). The id tells of which storage it is, its number, and is
// random besides; never 0.
uint64_t next_start(uint64_t storage, const std::vector<uint64_t>& starts, uint64_t random);

// Whether somebody has heard of a start of this storage that is not among its own. False of other storages' starts.
bool is_older_copy(uint64_t storage, const std::vector<uint64_t>& starts, uint64_t known_start);

}  // namespace sandstore
