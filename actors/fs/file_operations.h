// The operations of the file service as its metrics name them: those of Mutation and Query, and its other requests.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "messages/fs.pb.h"

namespace sandstore {

// By number: see operation_of().
std::vector<std::string> file_operations();

inline constexpr size_t kInvalidOperation = 0;  // A mutation or query that names none.
inline constexpr size_t kAllocateOperation = 1;
inline constexpr size_t kAuditOperation = 2;
size_t operation_of(const pb::Mutation& mutation);
size_t operation_of(const pb::Query& query);

}  // namespace sandstore
