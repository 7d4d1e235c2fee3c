#include "runtime/disk_call.h"

#include <cerrno>
#include <system_error>

#include "runtime/text.h"

namespace sandstore {

void DiskCall::write(std::string_view file, uint64_t offset, Payload bytes) {
    auto* operation = request.add_operations()->mutable_write();
    operation->set_file(std::string(file));
    operation->set_offset(offset);
    operation->set_length(bytes.size());
    payload.append(std::move(bytes));
}

void DiskCall::sync(std::string_view file) {
    request.add_operations()->mutable_sync()->set_file(std::string(file));
}

void DiskCall::read(std::string_view file, uint64_t offset, uint64_t length) {
    auto* operation = request.add_operations()->mutable_read();
    operation->set_file(std::string(file));
    operation->set_offset(offset);
    operation->set_length(length);
}

void DiskCall::create_zeroed(std::string_view file, uint64_t size_bytes) {
    auto* operation = request.add_operations()->mutable_create_zeroed();
    operation->set_file(std::string(file));
    operation->set_size(size_bytes);
}

void DiskCall::replace(std::string_view file, Payload bytes) {
    auto* operation = request.add_operations()->mutable_replace();
    operation->set_file(std::string(file));
    operation->set_length(bytes.size());
    payload.append(std::move(bytes));
}

void DiskCall::rename(std::string_view from, std::string_view to) {
    auto* operation = request.add_operations()->mutable_rename();
    operation->set_from(std::string(from));
    operation->set_to(std::string(to));
}

void DiskCall::remove(std::string_view file) {
    request.add_operations()->mutable_remove()->set_file(std::string(file));
}

void DiskCall::make_directory(std::string_view directory) {
    request.add_operations()->mutable_make_directory()->set_directory(std::string(directory));
}

void DiskCall::list(std::string_view directory) {
    request.add_operations()->mutable_list()->set_directory(std::string(directory));
}

void DiskCall::zero(std::string_view file, uint64_t offset, uint64_t length) {
    auto* operation = request.add_operations()->mutable_zero();
    operation->set_file(std::string(file));
    operation->set_offset(offset);
    operation->set_length(length);
}

void DiskCall::punch(std::string_view file, uint64_t offset, uint64_t length) {
    auto* operation = request.add_operations()->mutable_punch();
    operation->set_file(std::string(file));
    operation->set_offset(offset);
    operation->set_length(length);
}

namespace {

std::string describe_operation(const pb::DiskOperation& operation) {
    switch (operation.operation_case()) {
        case pb::DiskOperation::kWrite:
            return str_cat("the write to ", operation.write().file(), " at offset ", operation.write().offset());
        case pb::DiskOperation::kSync:
            return str_cat("the sync of ", operation.sync().file());
        case pb::DiskOperation::kRead:
            return str_cat("the read of ", operation.read().file(), " at offset ", operation.read().offset());
        case pb::DiskOperation::kCreateZeroed:
            return str_cat("the creation of ", operation.create_zeroed().file());
        case pb::DiskOperation::kReplace:
            return str_cat("the replacement of ", operation.replace().file());
        case pb::DiskOperation::kRename:
            return str_cat("the renaming of ", operation.rename().from(), " to ", operation.rename().to());
        case pb::DiskOperation::kRemove:
            return str_cat("the removal of ", operation.remove().file());
        case pb::DiskOperation::kMakeDirectory:
            return str_cat("the creation of the directory ", operation.make_directory().directory());
        case pb::DiskOperation::kList:
            return str_cat("the listing of the directory ", operation.list().directory());
        case pb::DiskOperation::kZero:
            return str_cat("the zeros in ", operation.zero().file(), " at offset ", operation.zero().offset());
        case pb::DiskOperation::kPunch:
            return str_cat("the hole in ", operation.punch().file(), " at offset ", operation.punch().offset());
        default:
            return "a disk operation";
    }
}

}  // namespace

std::string describe_failure(const pb::DiskRequest& request, const pb::DiskReply& reply) {
    const int place = static_cast<int>(reply.failed_operation());
    return str_cat(std::generic_category().message(reply.error()), " (errno ", reply.error(), ") in ",
                   place < request.operations_size() ? describe_operation(request.operations(place))
                                                     : std::string("a disk operation"));
}

bool is_out_of_space(const pb::DiskReply& reply) {
    return reply.error() == ENOSPC || reply.error() == EDQUOT;
}

}  // namespace sandstore
