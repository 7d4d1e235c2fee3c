// What a chunk request must look like before it has any effect, and how the outcomes of the disk become statuses.
// Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "actors/chunk/chunk_file.h"
#include "messages/chunk.pb.h"
#include "messages/common.pb.h"
#include "messages/disk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

pb::Status status_of(pb::StatusCode code, std::string message = {});
bool is_ok(const pb::Status& status);
std::string code_name(pb::StatusCode code);  // "ENOSPC", "UNAVAILABLE"

// Letters, digits, '.', '_' and '-': never an address form such as "~3" or "@host:port", which a client could use to
// make this node talk to others.
bool is_node_id(std::string_view text);

// Id, time and replicas; `node_id` must be among them.
pb::Status check_place(const pb::ChunkPlace& place, std::string_view node_id);
// Everything that can be said about a put without looking at the disk. On OK, `head` is what will be stored.
pb::Status check_put(const pb::ChunkPut& put, const Payload& data, std::string_view node_id, uint64_t chunk_bytes_max,
                     ChunkHead* head);

// Of an answer with an error; `doing` completes "Cannot ...": "store chunk 2-1f".
pb::Status status_of_disk_error(int error, std::string_view doing);
bool is_no_space(int error);
bool is_not_found(int error);

}  // namespace sandstore
