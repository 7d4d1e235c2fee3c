#include "runtime/memory_files.h"

#include <algorithm>
#include <cerrno>

#include "runtime/check.h"

namespace sandstore {

namespace {

constexpr uint64_t kReadBytesMax = uint64_t{64} << 20;  // Of one Read, as with real files.
constexpr uint64_t kFileBytesMax = uint64_t{1} << 40;
constexpr uint64_t kSmallRestBytes = 16 * 1024;

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
            return create_zeroed(operation.create_zeroed().file(), operation.create_zeroed().size());
        case pb::DiskOperation::kReplace:
            if (!source->take(operation.replace().length(), &bytes)) return EINVAL;
            return replace(operation.replace().file(), bytes);
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
            reply->set_free_bytes(room());
            return 0;
        case pb::DiskOperation::kPunch:
            return punch(operation.punch());
        case pb::DiskOperation::kZero:
            return zero(operation.zero());
        case pb::DiskOperation::OPERATION_NOT_SET:
            return EINVAL;
    }
    return EINVAL;
}

// --- Pieces of files

void MemoryFiles::add_extent(File* file, uint64_t offset, Payload bytes) {
    const uint64_t cost = kExtentOverheadBytes + bytes.size();
    file->cost += cost;
    used_bytes_ += cost;
    file->extents[offset] = std::move(bytes);
}

// Of the pieces that the range touches, what lies in it.
uint64_t MemoryFiles::bytes_between(const File& file, uint64_t begin, uint64_t end) {
    uint64_t bytes = 0;
    auto extent = file.extents.upper_bound(begin);
    if (extent != file.extents.begin()) --extent;
    for (; extent != file.extents.end() && extent->first < end; ++extent) {
        const uint64_t from = std::max(begin, extent->first);
        const uint64_t until = std::min(end, extent->first + extent->second.size());
        if (until > from) bytes += until - from;
    }
    return bytes;
}

// Takes out what lies in the range; what reaches beyond it is kept there.
void MemoryFiles::cut(File* file, uint64_t begin, uint64_t end) {
    auto extent = file->extents.lower_bound(begin);
    if (extent != file->extents.begin()) {
        const auto before = std::prev(extent);
        if (before->first + before->second.size() > begin) extent = before;
    }
    while (extent != file->extents.end() && extent->first < end) {
        const uint64_t at = extent->first;
        const Payload bytes = std::move(extent->second);
        extent = file->extents.erase(extent);
        file->cost -= kExtentOverheadBytes + bytes.size();
        used_bytes_ -= kExtentOverheadBytes + bytes.size();
        const uint64_t until = at + bytes.size();
        // A small rest does not hold the whole of it in memory.
        const auto rest = [&](uint64_t from, uint64_t length) {
            const Payload slice = bytes.slice(from, length);
            return length <= kSmallRestBytes ? Payload::copy_of(slice.to_string()) : slice;
        };
        if (at < begin) add_extent(file, at, rest(0, begin - at));
        if (until > end) add_extent(file, end, rest(end - at, until - end));
    }
}

int MemoryFiles::write(const std::string& name, uint64_t offset, const Payload& bytes) {
    if (offset > kFileBytesMax || bytes.size() > kFileBytesMax) return EFBIG;
    const auto known = files_.find(name);
    const bool is_new = known == files_.end();
    uint64_t wanted = is_new ? kFileOverheadBytes : 0;
    if (!bytes.empty()) wanted += kExtentOverheadBytes + bytes.size();
    if (wanted > room() + (is_new ? 0 : bytes_between(known->second, offset, offset + bytes.size()))) return ENOSPC;
    if (is_new) used_bytes_ += kFileOverheadBytes;
    File& file = files_[name];
    cut(&file, offset, offset + bytes.size());
    if (!bytes.empty()) add_extent(&file, offset, bytes);
    file.size = std::max(file.size, offset + bytes.size());
    return 0;
}

int MemoryFiles::replace(const std::string& name, const Payload& bytes) {
    const auto known = files_.find(name);
    const uint64_t freed = known == files_.end() ? 0 : known->second.cost;
    const uint64_t wanted = kFileOverheadBytes + kExtentOverheadBytes + bytes.size();
    if (wanted > room() + freed) return ENOSPC;
    remove(name);
    return write(name, 0, bytes);
}

int MemoryFiles::create_zeroed(const std::string& name, uint64_t size) {
    if (size > room()) return ENOSPC;
    remove(name);
    const int error = write(name, 0, {});
    if (error == 0) files_[name].size = size;
    return error;
}

int MemoryFiles::punch(const pb::DiskOperation::Punch& operation) {
    const auto found = files_.find(operation.file());
    if (found == files_.end()) return ENOENT;
    if (operation.offset() > kFileBytesMax || operation.length() > kFileBytesMax) return EFBIG;
    cut(&found->second, operation.offset(), operation.offset() + operation.length());
    return 0;
}

int MemoryFiles::zero(const pb::DiskOperation::Zero& operation) {
    if (operation.offset() > kFileBytesMax || operation.length() > kFileBytesMax) return EFBIG;
    const uint64_t end = operation.offset() + operation.length();
    if (const int error = write(operation.file(), end, {})) return error;
    cut(&files_[operation.file()], operation.offset(), end);
    return 0;
}

int MemoryFiles::read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out) {
    const auto found = files_.find(operation.file());
    if (found == files_.end()) return ENOENT;
    if (operation.length() > kReadBytesMax) return EINVAL;
    const File& file = found->second;
    uint64_t at = std::min(operation.offset(), file.size);
    const uint64_t end = at + std::min(operation.length(), file.size - at);
    reply->add_read_lengths(end - at);
    auto extent = file.extents.upper_bound(at);
    if (extent != file.extents.begin()) --extent;
    for (; at < end && extent != file.extents.end() && extent->first < end; ++extent) {
        const uint64_t until = extent->first + extent->second.size();
        if (until <= at) continue;
        if (extent->first > at) out->append(Payload(std::string(extent->first - at, '\0')));
        at = std::max(at, extent->first);
        out->append(extent->second.slice(at - extent->first, std::min(end, until) - at));
        at = std::min(end, until);
    }
    if (at < end) out->append(Payload(std::string(end - at, '\0')));
    return 0;
}

// --- Names

int MemoryFiles::rename(const std::string& from, const std::string& to) {
    const auto found = files_.find(from);
    if (found == files_.end()) return ENOENT;
    if (from == to) return 0;
    File file = std::move(found->second);
    files_.erase(found);
    remove(to);
    files_[to] = std::move(file);
    return 0;
}

void MemoryFiles::remove(const std::string& name) {
    const auto found = files_.find(name);
    if (found == files_.end()) return;
    used_bytes_ -= found->second.cost;
    files_.erase(found);
}

void MemoryFiles::list(const std::string& directory, pb::DiskReply* reply) {
    const std::string prefix = directory + "/";
    for (auto file = files_.lower_bound(prefix); file != files_.end() && file->first.starts_with(prefix); ++file) {
        const std::string name = file->first.substr(prefix.size());
        if (name.find('/') != std::string::npos) continue;
        pb::DiskFile* listed = reply->add_files();
        listed->set_name(name);
        listed->set_size(file->second.size);
    }
}

}  // namespace sandstore
