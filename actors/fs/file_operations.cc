#include "actors/fs/file_operations.h"

namespace sandstore {

namespace {

constexpr size_t kFirstMutation = 3;
// The operations of both messages count up from here without gaps; the test of file_operations() relies on it, too.
constexpr int kFirstCase = 10;

size_t mutations() {
    static const auto count =
        static_cast<size_t>(pb::Mutation::descriptor()->FindOneofByName("operation")->field_count());
    return count;
}

size_t queries() {
    static const auto count = static_cast<size_t>(pb::Query::descriptor()->FindOneofByName("operation")->field_count());
    return count;
}

}  // namespace

std::vector<std::string> file_operations() {
    std::vector<std::string> names = {"invalid", "allocate_chunks", "chunk_audit"};
    for (const auto* message : {pb::Mutation::descriptor(), pb::Query::descriptor()}) {
        const auto* operations = message->FindOneofByName("operation");
        for (int i = 0; i < operations->field_count(); i++) names.push_back(operations->field(i)->name());
    }
    return names;
}

size_t operation_of(const pb::Mutation& mutation) {
    if (mutation.operation_case() < kFirstCase) return kInvalidOperation;
    const auto place = static_cast<size_t>(mutation.operation_case() - kFirstCase);
    return place < mutations() ? kFirstMutation + place : kInvalidOperation;
}

size_t operation_of(const pb::Query& query) {
    if (query.operation_case() < kFirstCase) return kInvalidOperation;
    const auto place = static_cast<size_t>(query.operation_case() - kFirstCase);
    return place < queries() ? kFirstMutation + mutations() + place : kInvalidOperation;
}

}  // namespace sandstore
