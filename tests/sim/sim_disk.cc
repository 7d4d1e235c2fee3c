#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <cerrno>

#include "runtime/planted.h"

namespace sandstore {

namespace {

std::string_view directory_of(std::string_view file) {
    const size_t slash = file.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : file.substr(0, slash);
}

bool is_inside(std::string_view path) {
    if (path.empty() || path.front() == '/' || path.back() == '/') return false;
    for (size_t begin = 0; begin <= path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        if (part.empty() || part == "." || part == "..") return false;
        begin = end + 1;
    }
    return true;
}

// The file a fault is matched against.
std::string file_of(const pb::DiskOperation& operation) {
    switch (operation.operation_case()) {
        case pb::DiskOperation::kWrite:
            return operation.write().file();
        case pb::DiskOperation::kSync:
            return operation.sync().file();
        case pb::DiskOperation::kRead:
            return operation.read().file();
        case pb::DiskOperation::kCreateZeroed:
            return operation.create_zeroed().file();
        case pb::DiskOperation::kReplace:
            return operation.replace().file();
        case pb::DiskOperation::kRename:
            return operation.rename().from();
        case pb::DiskOperation::kRemove:
            return operation.remove().file();
        case pb::DiskOperation::kMakeDirectory:
            return operation.make_directory().directory();
        case pb::DiskOperation::kList:
            return operation.list().directory();
        case pb::DiskOperation::kPunch:
            return operation.punch().file();
        case pb::DiskOperation::kZero:
            return operation.zero().file();
        default:
            return {};
    }
}

}  // namespace

SimDisk::SimDisk(uint64_t seed, uint64_t capacity_bytes) : random_(seed, 0x6469736b), capacity_bytes_(capacity_bytes) {}

pb::DiskReply SimDisk::execute(const pb::DiskRequest& request, const Payload& in, Payload* out) {
    pb::DiskReply reply;
    size_t taken = 0;
    for (int i = 0; i < request.operations_size(); i++) {
        bool sync_failed = false;
        int error = EIO;
        if (!powered_off_) {
            const bool interrupted = operations_left_ && *operations_left_ == 0;
            error = carry_out(request.operations(i), interrupted, in, &taken, &reply, out, &sync_failed);
            operations_++;
            if (operations_left_) (*operations_left_)--;
            if (interrupted) {
                powered_off_ = true;
                operations_left_.reset();
                error = EIO;
            }
        }
        if (error == 0) continue;
        doubtful_ = doubtful_ || error == EIO;
        reply.set_error(error);
        reply.set_failed_operation(static_cast<uint32_t>(i));
        reply.set_sync_failed(sync_failed);
        break;
    }
    reply.set_elapsed_us(delays_.operation_us + delays_.sync_us);
    return reply;
}

int SimDisk::carry_out(const pb::DiskOperation& operation, bool interrupted, const Payload& in, size_t* taken,
                       pb::DiskReply* reply, Payload* out, bool* sync_failed) {
    const std::string file = file_of(operation);
    const bool needs_file = operation.operation_case() != pb::DiskOperation::kSpace;
    if (needs_file && !is_inside(file) && !(operation.has_list() && file.empty())) return EINVAL;
    if (const int error = take_fault(operation)) {
        *sync_failed = operation.has_sync();
        if (operation.has_sync()) fail_sync(file);
        return error;
    }
    if (shortage_one_in_ > 0 && random_.below(shortage_one_in_) == 0) {
        constexpr int kErrors[] = {EMFILE, ENFILE, ENOMEM};
        return kErrors[random_.below(std::size(kErrors))];
    }
    const auto next_bytes = [&](uint64_t length) {
        std::string bytes = in.slice(*taken, length).to_string();
        *taken += length;
        return bytes;
    };
    switch (operation.operation_case()) {
        case pb::DiskOperation::kWrite:
            if (operation.write().length() > in.size() - *taken) return EINVAL;
            return write(operation.write(), next_bytes(operation.write().length()));
        case pb::DiskOperation::kSync:
            return interrupted ? EIO : sync(file);
        case pb::DiskOperation::kRead:
            return read(operation.read(), reply, out);
        case pb::DiskOperation::kCreateZeroed:
            return create_zeroed(operation.create_zeroed(), interrupted);
        case pb::DiskOperation::kReplace:
            if (operation.replace().length() > in.size() - *taken) return EINVAL;
            return replace(file, next_bytes(operation.replace().length()), interrupted);
        case pb::DiskOperation::kRename:
            return is_inside(operation.rename().to()) ? rename(file, operation.rename().to(), interrupted) : EINVAL;
        case pb::DiskOperation::kRemove:
            if (exists(file)) change_name({file, {}, {}});
            if (!interrupted) sync_directory_of(file);
            return 0;
        case pb::DiskOperation::kMakeDirectory:
            if (!interrupted) sync_directory_of(file + "/");
            return 0;
        case pb::DiskOperation::kList:
            list(file, reply);
            return 0;
        case pb::DiskOperation::kSpace:
            reply->set_total_bytes(capacity_bytes_);
            reply->set_free_bytes(capacity_bytes_ - std::min(capacity_bytes_, used_bytes()));
            return 0;
        case pb::DiskOperation::kPunch:
            return punch(operation.punch());
        case pb::DiskOperation::kZero:
            return zero(operation.zero());
        case pb::DiskOperation::OPERATION_NOT_SET:
            break;
    }
    return EINVAL;
}

// --- Operations

int SimDisk::write(const pb::DiskOperation::Write& operation, std::string bytes) {
    auto known = names_.find(operation.file());
    const uint64_t size = known == names_.end() ? 0 : known->second->live.size();
    const uint64_t end = operation.offset() + bytes.size();
    if (end > size && used_bytes() + (end - size) > capacity_bytes_) return ENOSPC;
    if (known == names_.end()) {
        change_name({{}, operation.file(), std::make_shared<File>()});
        known = names_.find(operation.file());
    }
    const bool lies = operation.file().starts_with(lie_prefix_);
    if (lies && std::exchange(lose_write_, false)) return 0;
    File& file = *known->second;
    const uint64_t offset = operation.offset() + (lies ? std::exchange(misdirect_bytes_, 0) : 0);
    put(&file.live, offset, bytes);
    file.pending.push_back({offset, std::move(bytes)});
    return 0;
}

int SimDisk::zero(const pb::DiskOperation::Zero& operation) {
    pb::DiskOperation::Write write_zeros;
    write_zeros.set_file(operation.file());
    write_zeros.set_offset(operation.offset());
    return write(write_zeros, std::string(operation.length(), '\0'));
}

// To a reader, and to a crash, a hole is zeros that were written. (What it frees is not counted.)
int SimDisk::punch(const pb::DiskOperation::Punch& operation) {
    auto known = names_.find(operation.file());
    if (known == names_.end()) return ENOENT;
    File& file = *known->second;
    const uint64_t size = file.live.size();
    const uint64_t offset = std::min(operation.offset(), size);
    std::string zeros(std::min(operation.length(), size - offset), '\0');
    put(&file.live, offset, zeros);
    file.pending.push_back({offset, std::move(zeros)});
    return 0;
}

int SimDisk::sync(const std::string& file) {
    auto known = names_.find(file);
    if (known == names_.end()) return ENOENT;
    make_stable(known->second.get());
    sync_directory_of(file);
    return 0;
}

int SimDisk::read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out) const {
    auto known = names_.find(operation.file());
    if (known == names_.end()) return ENOENT;
    const std::string& live = known->second->live;
    const uint64_t offset = std::min<uint64_t>(operation.offset(), live.size());
    std::string bytes = live.substr(offset, operation.length());
    reply->add_read_lengths(bytes.size());
    out->append(Payload(std::move(bytes)));
    return 0;
}

int SimDisk::create_zeroed(const pb::DiskOperation::CreateZeroed& operation, bool interrupted) {
    auto known = names_.find(operation.file());
    const uint64_t before = known == names_.end() ? 0 : known->second->live.size();
    if (used_bytes() - before + operation.size() > capacity_bytes_) return ENOSPC;
    auto file = std::make_shared<File>();
    const uint64_t size = interrupted ? random_.below(operation.size() + 1) : operation.size();
    file->live.assign(size, '\0');
    file->pending.push_back({0, file->live});
    change_name({{}, operation.file(), file});
    if (interrupted) return EIO;
    make_stable(file.get());
    sync_directory_of(operation.file());
    return 0;
}

int SimDisk::replace(const std::string& file, std::string bytes, bool interrupted) {
    auto next = std::make_shared<File>();
    next->live = std::move(bytes);
    next->stable = next->live;
    if (used_bytes() + next->live.size() > capacity_bytes_) return ENOSPC;
    change_name({{}, file, next});
    if (interrupted) return EIO;
    sync_directory_of(file);
    return 0;
}

int SimDisk::rename(const std::string& from, const std::string& to, bool interrupted) {
    auto known = names_.find(from);
    if (known == names_.end()) return ENOENT;
    change_name({from, to, known->second});
    if (interrupted) return EIO;
    sync_directory_of(from);
    sync_directory_of(to);
    return 0;
}

void SimDisk::list(const std::string& directory, pb::DiskReply* reply) const {
    for (const auto& [name, file] : names_) {
        if (directory_of(name) != directory) continue;
        pb::DiskFile* listed = reply->add_files();
        listed->set_name(name.substr(directory.empty() ? 0 : directory.size() + 1));
        listed->set_size(file->live.size());
    }
}

// --- Crash

void SimDisk::crash() {
    const uint64_t survivors = random_.below(name_changes_.size() + 1);
    for (uint64_t i = 0; i < survivors; i++) apply(name_changes_[i], &stable_names_);
    name_changes_.clear();
    names_ = stable_names_;
    for (auto& [name, file] : names_) lose_unsynced(file.get());
    powered_off_ = false;
    operations_left_.reset();
}

// Of what was written since the last sync, some sectors reach the disk: none, all, or each by its own luck. Of several
// writes to one sector, a later one never survives without the earlier ones.
void SimDisk::lose_unsynced(File* file) {
    if (file->pending.empty()) {
        file->live = file->stable;
        return;
    }
    const uint64_t luck = random_.below(4);
    std::map<uint64_t, uint64_t> writes;  // By sector.
    for (const Pending& pending : file->pending) {
        const uint64_t end = pending.offset + pending.bytes.size();
        for (uint64_t sector = pending.offset / kSectorBytes; sector * kSectorBytes < end; sector++) writes[sector]++;
    }
    for (auto& [sector, count] : writes) {
        if (luck == 0) count = 0;
        if (luck >= 2) count = random_.below(count + 1);
    }
    for (const Pending& pending : file->pending) {
        const uint64_t end = pending.offset + pending.bytes.size();
        for (uint64_t sector = pending.offset / kSectorBytes; sector * kSectorBytes < end; sector++) {
            uint64_t& left = writes[sector];
            if (left == 0) continue;
            left--;
            const uint64_t from = std::max(pending.offset, sector * kSectorBytes);
            const uint64_t to = std::min(end, (sector + 1) * kSectorBytes);
            put(&file->stable, from, std::string_view(pending.bytes).substr(from - pending.offset, to - from));
        }
    }
    file->pending.clear();
    file->live = file->stable;
}

// The cache takes the bytes for written, and the disk has them or not: nothing tells, and no later sync repairs it.
void SimDisk::fail_sync(const std::string& file) {
    auto known = names_.find(file);
    if (known == names_.end()) return;
    std::string live = known->second->live;
    lose_unsynced(known->second.get());
    known->second->live = std::move(live);
}

// --- Faults

int SimDisk::take_fault(const pb::DiskOperation& operation) {
    for (Fault& fault : faults_) {
        if (fault.operation != operation.operation_case() || fault.times == 0) continue;
        if (!file_of(operation).starts_with(fault.file_prefix)) continue;
        if (fault.skip > 0) {
            fault.skip--;
            continue;
        }
        fault.times--;
        return fault.error;
    }
    return 0;
}

bool SimDisk::flip_bit(std::string_view file, uint64_t offset, int bit) {
    auto known = names_.find(file);
    if (known == names_.end() || offset >= known->second->live.size()) return false;
    doubtful_ = true;
    const char mask = static_cast<char>(1 << bit);
    known->second->live[offset] ^= mask;
    if (offset < known->second->stable.size()) known->second->stable[offset] ^= mask;
    for (Pending& pending : known->second->pending) {
        if (offset >= pending.offset && offset - pending.offset < pending.bytes.size()) {
            pending.bytes[offset - pending.offset] ^= mask;
        }
    }
    return true;
}

std::optional<uint64_t> SimDisk::delay_us(const pb::DiskRequest& request) {
    uint64_t delay = 0;
    bool any_sync = false;
    for (const pb::DiskOperation& operation : request.operations()) {
        const bool syncs = !operation.has_write() && !operation.has_read() && !operation.has_list() &&
                           !operation.has_space() && !operation.has_punch() && !operation.has_zero();
        any_sync = any_sync || syncs;
        delay += syncs ? delays_.sync_us : delays_.operation_us;
    }
    if (hung_ && (passes_ == 0 || !any_sync)) return std::nullopt;
    if (hung_) passes_--;
    return delay + (delays_.jitter_us == 0 ? 0 : random_.below(delays_.jitter_us + 1));
}

// --- Looking and preparing

uint64_t SimDisk::used_bytes() const {
    uint64_t bytes = 0;
    for (const auto& [name, file] : names_) bytes += file->live.size();
    return bytes;
}

std::vector<std::string> SimDisk::files() const {
    std::vector<std::string> found;
    for (const auto& [name, file] : names_) found.push_back(name);
    return found;
}

std::string SimDisk::contents(std::string_view file) const {
    auto known = names_.find(file);
    return known == names_.end() ? std::string() : known->second->live;
}

void SimDisk::wipe() {
    names_.clear();
    stable_names_.clear();
    name_changes_.clear();
}

SimDisk::Copy SimDisk::copy() const {
    Copy files;
    for (const auto& [name, file] : names_) files[name] = file->live;
    return files;
}

void SimDisk::put_back(const Copy& files) {
    wipe();
    for (const auto& [name, bytes] : files) set_contents(name, bytes);
}

void SimDisk::remove_file(const std::string& file) {
    names_.erase(file);
    stable_names_.erase(file);
}

void SimDisk::remove_directory(std::string_view directory) {
    const std::string inside = std::string(directory) + "/";
    const auto is_inside_it = [&inside](const auto& name) { return name.first.starts_with(inside); };
    std::erase_if(names_, is_inside_it);
    std::erase_if(stable_names_, is_inside_it);
    std::erase_if(name_changes_, [&inside](const NameChange& change) {
        return change.add.starts_with(inside) || change.remove.starts_with(inside);
    });
}

void SimDisk::set_contents(std::string_view file, std::string bytes) {
    auto made = std::make_shared<File>();
    made->live = std::move(bytes);
    made->stable = made->live;
    names_[std::string(file)] = made;
    stable_names_[std::string(file)] = made;
}

// --- Names

void SimDisk::change_name(NameChange change) {
    apply(change, &names_);
    name_changes_.push_back(std::move(change));
}

void SimDisk::apply(const NameChange& change, Names* names) {
    if (!change.remove.empty()) names->erase(change.remove);
    if (!change.add.empty()) (*names)[change.add] = change.file;
}

// Makes the changes in the file's directory durable, in their order.
void SimDisk::sync_directory_of(std::string_view file) {
    if (planted("directory-sync-skipped")) return;
    const std::string_view directory = directory_of(file);
    std::erase_if(name_changes_, [&](const NameChange& change) {
        const bool here = (!change.remove.empty() && directory_of(change.remove) == directory) ||
                          (!change.add.empty() && directory_of(change.add) == directory);
        if (here) apply(change, &stable_names_);
        return here;
    });
}

void SimDisk::put(std::string* bytes, uint64_t offset, std::string_view written) {
    if (bytes->size() < offset + written.size()) bytes->resize(offset + written.size(), '\0');
    bytes->replace(offset, written.size(), written);
}

void SimDisk::make_stable(File* file) {
    for (const Pending& pending : file->pending) put(&file->stable, pending.offset, pending.bytes);
    file->pending.clear();
}

}  // namespace sandstore
