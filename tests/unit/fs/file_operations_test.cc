#include "actors/fs/file_operations.h"

#include <gtest/gtest.h>

#include <set>

namespace sandstore {
namespace {

// Each operation of a message, set, has the name of its field.
template <typename Request>
void each_has_its_name() {
    const std::vector<std::string> names = file_operations();
    const auto* operations = Request::descriptor()->FindOneofByName("operation");
    for (int i = 0; i < operations->field_count(); i++) {
        Request request;
        request.GetReflection()->MutableMessage(&request, operations->field(i));
        EXPECT_EQ(names.at(operation_of(request)), operations->field(i)->name());
    }
    EXPECT_EQ(operation_of(Request()), kInvalidOperation);
}

TEST(FileOperations, every_mutation_and_query_has_a_name_of_its_own) {
    each_has_its_name<pb::Mutation>();
    each_has_its_name<pb::Query>();
    const std::vector<std::string> names = file_operations();
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    EXPECT_EQ(names.at(kAllocateOperation), "allocate_chunks");
    EXPECT_EQ(names.at(kAuditOperation), "chunk_audit");
}

}  // namespace
}  // namespace sandstore
