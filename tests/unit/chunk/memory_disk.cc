#include "tests/unit/chunk/memory_disk.h"

#include <algorithm>
#include <cerrno>

#include "runtime/check.h"

namespace sandstore {

pb::DiskReply MemoryDisk::execute(const pb::DiskRequest& request, const Payload& payload, Payload* read) {
    requests++;
    pb::DiskReply reply;
    uint64_t payload_at = 0;
    for (int i = 0; i < request.operations_size(); i++) {
        const pb::DiskOperation& operation = request.operations(i);
        const std::optional<int> fault = fault_of(operation);
        const int error = fault ? *fault : apply(operation, payload, &payload_at, &reply, read);
        if (error == 0) continue;
        reply.set_error(error);
        reply.set_failed_operation(static_cast<uint32_t>(i));
        reply.set_sync_failed(fault && fault_.sync_failed);
        return reply;
    }
    SANDSTORE_CHECK(payload_at == payload.size(), "used=", payload_at, " of ", payload.size());
    return reply;
}

static std::string file_of(const pb::DiskOperation& operation) {
    using Operation = pb::DiskOperation;
    switch (operation.operation_case()) {
        case Operation::kWrite:
            return operation.write().file();
        case Operation::kSync:
            return operation.sync().file();
        case Operation::kRead:
            return operation.read().file();
        case Operation::kReplace:
            return operation.replace().file();
        case Operation::kRename:
            return operation.rename().from();
        case Operation::kRemove:
            return operation.remove().file();
        case Operation::kMakeDirectory:
            return operation.make_directory().directory();
        case Operation::kList:
            return operation.list().directory();
        case Operation::kPunch:
            return operation.punch().file();
        case Operation::kZero:
            return operation.zero().file();
        default:
            return "";
    }
}

std::optional<int> MemoryDisk::fault_of(const pb::DiskOperation& operation) {
    if (fault_.times == 0 || operation.operation_case() != fault_.operation) return std::nullopt;
    if (file_of(operation).find(fault_.file_part) == std::string::npos) return std::nullopt;
    if (fault_.skip > 0) {
        fault_.skip--;
        return std::nullopt;
    }
    fault_.times--;
    return fault_.error;
}

int MemoryDisk::apply(const pb::DiskOperation& operation, const Payload& payload, uint64_t* payload_at,
                      pb::DiskReply* reply, Payload* read) {
    using Operation = pb::DiskOperation;
    const std::string file = file_of(operation);
    const auto found = names_.find(file);
    switch (operation.operation_case()) {
        case Operation::kWrite: {
            auto& content = names_[file];
            if (!content) content = std::make_shared<Content>();
            const std::string bytes = payload.slice(*payload_at, operation.write().length()).to_string();
            SANDSTORE_CHECK(bytes.size() == operation.write().length(), "the payload is too short");
            *payload_at += bytes.size();
            const size_t end = operation.write().offset() + bytes.size();
            if (content->bytes.size() < end) content->bytes.resize(end);
            content->bytes.replace(operation.write().offset(), bytes.size(), bytes);
            return 0;
        }
        case Operation::kSync:
            if (found == names_.end()) return ENOENT;
            syncs++;
            found->second->durable = found->second->bytes;
            durable_names_[file] = found->second;
            return 0;
        case Operation::kRead: {
            if (found == names_.end()) return ENOENT;
            const std::string& bytes = found->second->bytes;
            const size_t offset = std::min<size_t>(operation.read().offset(), bytes.size());
            std::string part = bytes.substr(offset, operation.read().length());
            reads++;
            bytes_read += part.size();
            reply->add_read_lengths(part.size());
            read->append(Payload(std::move(part)));
            return 0;
        }
        case Operation::kReplace: {
            auto content = std::make_shared<Content>();
            content->bytes = payload.slice(*payload_at, operation.replace().length()).to_string();
            *payload_at += content->bytes.size();
            content->durable = content->bytes;
            names_[file] = durable_names_[file] = content;
            return 0;
        }
        case Operation::kRename:
            if (found == names_.end()) return ENOENT;
            syncs++;
            names_[operation.rename().to()] = durable_names_[operation.rename().to()] = found->second;
            names_.erase(file);
            durable_names_.erase(file);
            return 0;
        case Operation::kRemove:
            names_.erase(file), durable_names_.erase(file);
            return 0;
        case Operation::kMakeDirectory:
            return 0;
        case Operation::kList:
            for (const auto& [name, content] : names_) {
                if (!name.starts_with(file + "/") || name.find('/', file.size() + 1) != std::string::npos) continue;
                pb::DiskFile* listed = reply->add_files();
                listed->set_name(name.substr(file.size() + 1));
                listed->set_size(content->bytes.size());
            }
            return 0;
        case Operation::kZero: {
            auto& content = names_[file];
            if (!content) content = std::make_shared<Content>();
            const size_t begin = operation.zero().offset();
            const size_t length = operation.zero().length();
            if (content->bytes.size() < begin + length) content->bytes.resize(begin + length);
            content->bytes.replace(begin, length, length, '\0');
            return 0;
        }
        case Operation::kPunch: {
            if (found == names_.end()) return ENOENT;
            std::string& bytes = found->second->bytes;
            const size_t begin = std::min<size_t>(operation.punch().offset(), bytes.size());
            const size_t length = std::min<size_t>(operation.punch().length(), bytes.size() - begin);
            bytes.replace(begin, length, length, '\0');
            punched_bytes += length;
            return 0;
        }
        case Operation::kSpace:
            reply->set_total_bytes(total_bytes);
            reply->set_free_bytes(free_bytes);
            return 0;
        default:
            return EINVAL;
    }
}

void MemoryDisk::cut_power(Unsynced unsynced) {
    auto names = durable_names_;
    for (auto& [name, content] : names) content->bytes = content->durable;
    if (unsynced == Unsynced::kTorn) {
        for (const auto& [name, content] : names_) {
            if (names.contains(name)) continue;
            auto torn = std::make_shared<Content>();
            torn->bytes = torn->durable = content->bytes.substr(0, content->bytes.size() / 2);
            names[name] = torn;
        }
    }
    names_ = durable_names_ = names;
    fault_.times = 0;
}

void MemoryDisk::flip_bit(const std::string& file, size_t offset, int bit) {
    char& byte = names_.at(file)->bytes.at(offset);
    byte = static_cast<char>(byte ^ (1 << bit));
}

void MemoryDisk::put_file(const std::string& file, std::string bytes) {
    auto content = std::make_shared<Content>();
    content->bytes = content->durable = std::move(bytes);
    names_[file] = durable_names_[file] = content;
}

void MemoryDisk::remove_file(const std::string& file) {
    names_.erase(file);
    durable_names_.erase(file);
}

bool MemoryDisk::durable(const std::string& file) const {
    const auto found = durable_names_.find(file);
    return found != durable_names_.end() && found->second->durable == found->second->bytes;
}

size_t MemoryDisk::files_with(std::string_view part) const {
    size_t count = 0;
    for (const auto& [name, content] : names_) count += name.find(part) != std::string::npos;
    return count;
}

}  // namespace sandstore
