#include "actors/fs/file_operations.h"

namespace sandstore {

namespace {

constexpr size_t kFirstMutation = 3;

const google::protobuf::OneofDescriptor* operations_of(const google::protobuf::Descriptor* message) {
    return message->FindOneofByName("operation");
}

// Which of the message's operations it is, in their order.
size_t place_of(const google::protobuf::Descriptor* message, int operation_case) {
    return static_cast<size_t>(message->FindFieldByNumber(operation_case)->index_in_oneof());
}

}  // namespace

std::vector<std::string> file_operations() {
    std::vector<std::string> names = {"invalid", "allocate_chunks", "chunk_audit"};
    for (const auto* message : {pb::Mutation::descriptor(), pb::Query::descriptor()}) {
        const auto* operations = operations_of(message);
        for (int i = 0; i < operations->field_count(); i++) names.push_back(operations->field(i)->name());
    }
    return names;
}

size_t operation_of(const pb::Mutation& mutation) {
    if (mutation.operation_case() == pb::Mutation::OPERATION_NOT_SET) return kInvalidOperation;
    return kFirstMutation + place_of(pb::Mutation::descriptor(), mutation.operation_case());
}

size_t operation_of(const pb::Query& query) {
    if (query.operation_case() == pb::Query::OPERATION_NOT_SET) return kInvalidOperation;
    static const auto mutations = static_cast<size_t>(operations_of(pb::Mutation::descriptor())->field_count());
    return kFirstMutation + mutations + place_of(pb::Query::descriptor(), query.operation_case());
}

}  // namespace sandstore
