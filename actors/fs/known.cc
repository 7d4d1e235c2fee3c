#include "actors/fs/known.h"

#include <vector>

namespace sandstore {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool has_unknown_field(const Message& message) {
    return !message.GetReflection()->GetUnknownFields(message).empty();
}

// A message has few levels: the recursion ends with the types.
bool holds_unknown_field(const Message& message) {
    if (has_unknown_field(message)) return true;
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
        if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
        if (!field->is_repeated()) {
            if (holds_unknown_field(reflection.GetMessage(message, field))) return true;
            continue;
        }
        for (int i = 0; i < reflection.FieldSize(message, field); i++) {
            if (holds_unknown_field(reflection.GetRepeatedMessage(message, field, i))) return true;
        }
    }
    return false;
}

constexpr std::string_view kNoOperation = "The mutation has no operation that this version knows";
constexpr std::string_view kUnknownField =
    "The mutation says something that this version does not know: update the nodes, or use an older client";

}  // namespace

Outcome check_known(const pb::Mutation& mutation) {
    if (mutation.operation_case() == pb::Mutation::OPERATION_NOT_SET)
        return {pb::STATUS_INVALID_ARGUMENT, kNoOperation};
    if (holds_unknown_field(mutation)) return {pb::STATUS_INVALID_ARGUMENT, kUnknownField};
    return {};
}

Outcome check_known(const pb::Command& command) {
    if (has_unknown_field(command) || has_unknown_field(command.mutation())) {
        return {pb::STATUS_INVALID_ARGUMENT, "it has a field that is unknown here"};
    }
    if (command.housekeeping() || command.mutation().operation_case() != pb::Mutation::OPERATION_NOT_SET) return {};
    return {pb::STATUS_INVALID_ARGUMENT, "it has no operation"};
}

}  // namespace sandstore
