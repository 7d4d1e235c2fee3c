#include "runtime/memory_files.h"

#include <algorithm>
#include <cerrno>

#include "runtime/check.h"

namespace sandstore {

namespace {

constexpr uint64_t kReadBytesMax = uint64_t{64} << 20;  // Of one Read, as with real files.

}  // namespace

// The request's payload, taken from the front by one operation after another.
class MemoryFiles::Source {
 public:
    explicit Source(const Payload& payload) : payload_(payload) {}
    bool take(uint64_t length, Payload* out) {
        if (length > payload_.size() - at_) return false;
        *out = payload_.slice(at_, static_cast<size_t>(length));
        at_ += static_cast<size_t>(length);
        return true;
    }

 private:
    const Payload& payload_;
    size_t at_ = 0;
};

pb::DiskReply MemoryFiles::execute(const pb::DiskRequest& request, const Payload& in, Payload* out) {
    pb::DiskReply reply;
    Source source(in);
    for (int i = 0; i < request.operations_size(); i++) {
        const int error = carry_out(request.operations(i), &source, &reply, out);
        if (error == 0) continue;
        reply.set_error(error);
        reply.set_failed_operation(static_cast<uint32_t>(i));
        break;
    }
    return reply;
}

int MemoryFiles::carry_out(const pb::DiskOperation& operation, Source* source, pb::DiskReply* reply, Payload* out) {
    Payload bytes;
    switch (operation.operation_case()) {
        case pb::DiskOperation::kWrite:
            if (!source->take(operation.write().length(), &bytes)) return EINVAL;
            return write(operation.write().file(), operation.write().offset(), bytes);
        case pb::DiskOperation::kSync:
            return files_.contains(operation.sync().file()) ? 0 : ENOENT;
        case pb::DiskOperation::kRead:
            return read(operation.read(), reply, out);
        case pb::DiskOperation::kCreateZeroed:
            if (operation.create_zeroed().size() > bytes_max_) return ENOSPC;
            return put(operation.create_zeroed().file(), Payload(std::string(operation.create_zeroed().size(), '\0')));
        case pb::DiskOperation::kReplace:
            if (!source->take(operation.replace().length(), &bytes)) return EINVAL;
            return put(operation.replace().file(), bytes);
        case pb::DiskOperation::kRename:
            return rename(operation.rename().from(), operation.rename().to());
        case pb::DiskOperation::kRemove:
            remove(operation.remove().file());
            return 0;
        case pb::DiskOperation::kMakeDirectory:
            return 0;
        case pb::DiskOperation::kList:
            list(operation.list().directory(), reply);
            return 0;
        case pb::DiskOperation::kSpace:
            reply->set_total_bytes(bytes_max_);
            reply->set_free_bytes(bytes_max_ - used_bytes_);
            return 0;
        case pb::DiskOperation::OPERATION_NOT_SET:
            return EINVAL;
    }
    return EINVAL;
}

uint64_t MemoryFiles::cost_of(const Payload& content) {
    return kFileOverheadBytes + content.size();
}

int MemoryFiles::put(const std::string& file, Payload content) {
    const auto old = files_.find(file);
    const uint64_t freed = old == files_.end() ? 0 : cost_of(old->second);
    const uint64_t wanted = cost_of(content);
    SANDSTORE_CHECK(freed <= used_bytes_ && used_bytes_ <= bytes_max_, "used=", used_bytes_, " freed=", freed);
    if (wanted > bytes_max_ - used_bytes_ + freed) return ENOSPC;
    used_bytes_ = used_bytes_ - freed + wanted;
    files_[file] = std::move(content);
    return 0;
}

int MemoryFiles::write(const std::string& file, uint64_t offset, const Payload& bytes) {
    if (offset > bytes_max_) return ENOSPC;
    const auto found = files_.find(file);
    const Payload old = found == files_.end() ? Payload() : found->second;
    const auto at = static_cast<size_t>(offset);
    Payload content = old.slice(0, at);
    if (content.size() < at) content.append(Payload(std::string(at - content.size(), '\0')));
    content.append(bytes);
    if (content.size() < old.size()) content.append(old.slice(content.size(), old.size() - content.size()));
    return put(file, std::move(content));
}

int MemoryFiles::read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out) {
    const auto found = files_.find(operation.file());
    if (found == files_.end()) return ENOENT;
    if (operation.length() > kReadBytesMax) return EINVAL;
    const auto offset = static_cast<size_t>(std::min<uint64_t>(operation.offset(), found->second.size()));
    Payload bytes = found->second.slice(offset, static_cast<size_t>(operation.length()));
    reply->add_read_lengths(bytes.size());
    out->append(std::move(bytes));
    return 0;
}

int MemoryFiles::rename(const std::string& from, const std::string& to) {
    const auto found = files_.find(from);
    if (found == files_.end()) return ENOENT;
    if (from == to) return 0;
    Payload content = found->second;
    remove(from);
    remove(to);
    return put(to, std::move(content));  // Fits: it was there before.
}

void MemoryFiles::remove(const std::string& file) {
    const auto found = files_.find(file);
    if (found == files_.end()) return;
    used_bytes_ -= cost_of(found->second);
    files_.erase(found);
}

void MemoryFiles::list(const std::string& directory, pb::DiskReply* reply) {
    const std::string prefix = directory + "/";
    for (auto file = files_.lower_bound(prefix); file != files_.end() && file->first.starts_with(prefix); ++file) {
        const std::string name = file->first.substr(prefix.size());
        if (name.find('/') != std::string::npos) continue;
        pb::DiskFile* listed = reply->add_files();
        listed->set_name(name);
        listed->set_size(file->second.size());
    }
}

}  // namespace sandstore
