// A disk in memory that speaks the disk port's messages and fails like a real one, the same way for the same seed. It
// outlives the node that uses it: crash() is a power cut, after which a new node finds what survived.
//
// What it models: bytes that were written but not synced survive a crash or not, sector by sector (512 bytes) and each
// on its own, so that a write is torn and later ones overtake earlier ones; names (creations, renames, removals)
// survive up to some point of their order unless the directory was synced; a failed sync leaves the cache clean and the
// disk without the bytes; errors, a full disk, want of descriptors and memory, flipped bits, lost and misdirected
// writes, slow and hung operations.
// What it does not: sectors that are garbage after a torn write (each is old or new), sizes that grow without the
// bytes, delays (it only says how long; the caller waits).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/disk.pb.h"
#include "runtime/payload.h"
#include "runtime/random.h"

namespace sandstore {

class SimDisk {
 public:
    static constexpr uint64_t kSectorBytes = 512;
    static constexpr uint64_t kCapacityBytes = uint64_t{1} << 30;

    explicit SimDisk(uint64_t seed, uint64_t capacity_bytes = kCapacityBytes);

    pb::DiskReply execute(const pb::DiskRequest& request, const Payload& in, Payload* out);

    // --- Power ------------------------------------------------------------------------------------------------------
    // Only what was synced is sure to be there afterwards.
    void crash();
    // The power fails in the middle of the operation after the next `operations`; from then on everything fails with
    // EIO until crash() is called.
    void power_off_after(uint64_t operations) { operations_left_ = operations; }
    bool powered_off() const { return powered_off_; }
    uint64_t operations() const { return operations_; }  // Carried out so far.

    // --- Faults -----------------------------------------------------------------------------------------------------
    struct Fault {
        pb::DiskOperation::OperationCase operation = pb::DiskOperation::OPERATION_NOT_SET;
        int error = 0;
        std::string file_prefix = {};  // Empty: any file.
        uint64_t skip = 0;             // Let so many pass first.
        uint64_t times = 1;
    };
    void add_fault(Fault fault) { faults_.push_back(std::move(fault)); }
    void clear_faults() { faults_.clear(); }
    // One operation in so many fails for want of descriptors or memory, and has no effect then. 0: none.
    void set_shortage(uint64_t one_in) { shortage_one_in_ = one_in; }
    // Whether anything was done that makes bytes wrong or unreadable: else nobody may call anything damaged.
    bool doubtful() const { return doubtful_; }
    void set_capacity(uint64_t bytes) { capacity_bytes_ = bytes; }
    uint64_t used_bytes() const;
    // On the disk itself: a crash does not undo it. False when there is no such byte.
    bool flip_bit(std::string_view file, uint64_t offset, int bit = 0);
    // The next write to a file whose name begins so succeeds, but lands so many bytes further on (misdirected), or
    // nowhere (lost).
    void misdirect_next_write(uint64_t shift_bytes, std::string file_prefix = {}) {
        misdirect_bytes_ = shift_bytes;
        lie_prefix_ = std::move(file_prefix);
        doubtful_ = true;
    }
    void lose_next_write(std::string file_prefix = {}) {
        lose_write_ = doubtful_ = true;
        lie_prefix_ = std::move(file_prefix);
    }

    struct Delays {
        uint64_t operation_us = 0;
        uint64_t sync_us = 0;    // Also for operations that sync.
        uint64_t jitter_us = 0;  // At most so much more, uniformly.
    };
    void set_delays(Delays delays) { delays_ = delays; }
    void set_hung(bool hung) { hung_ = hung; }
    // Though it hangs, so many requests that sync are carried out.
    void let_pass(uint64_t requests) { passes_ = requests; }
    // How long the request should take; nothing while the disk hangs: ask again when it does not.
    std::optional<uint64_t> delay_us(const pb::DiskRequest& request);

    // --- Looking and preparing
    bool exists(std::string_view file) const { return names_.contains(file); }
    std::vector<std::string> files() const;
    std::string contents(std::string_view file) const;            // Empty when missing.
    void set_contents(std::string_view file, std::string bytes);  // Durable at once.
    void remove_file(const std::string& file);                    // So is this,
    void remove_directory(std::string_view directory);            // and this, with all that is in it, at any depth.
    void wipe();                                                  // As a new disk, durable at once.
    using Copy = std::map<std::string, std::string>;
    Copy copy() const;                 // Of all files, as they would be read now.
    void put_back(const Copy& files);  // Instead of what is there, durable at once.

 private:
    struct Pending {
        uint64_t offset;
        std::string bytes;
    };
    struct File {
        std::string live;              // What a read sees.
        std::string stable;            // What a crash leaves for sure,
        std::vector<Pending> pending;  // and what has been written since.
    };
    using FilePointer = std::shared_ptr<File>;
    using Names = std::map<std::string, FilePointer, std::less<>>;
    struct NameChange {
        std::string remove;  // Empty: nothing.
        std::string add;     // Empty: nothing.
        FilePointer file;    // For `add`.
    };

    int carry_out(const pb::DiskOperation& operation, bool interrupted, const Payload& in, size_t* taken,
                  pb::DiskReply* reply, Payload* out, bool* sync_failed);
    int write(const pb::DiskOperation::Write& operation, std::string bytes);
    int zero(const pb::DiskOperation::Zero& operation);
    int punch(const pb::DiskOperation::Punch& operation);
    int sync(const std::string& file);
    int read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out) const;
    int create_zeroed(const pb::DiskOperation::CreateZeroed& operation, bool interrupted);
    int replace(const std::string& file, std::string bytes, bool interrupted);
    int rename(const std::string& from, const std::string& to, bool interrupted);
    void list(const std::string& directory, pb::DiskReply* reply) const;

    int take_fault(const pb::DiskOperation& operation);
    void fail_sync(const std::string& file);
    void change_name(NameChange change);
    void sync_directory_of(std::string_view file);
    static void apply(const NameChange& change, Names* names);
    static void put(std::string* bytes, uint64_t offset, std::string_view written);
    static void make_stable(File* file);
    void lose_unsynced(File* file);

    RandomStream random_;
    uint64_t capacity_bytes_;
    Names names_;
    Names stable_names_;
    std::vector<NameChange> name_changes_;  // Since the last sync of their directory.
    std::vector<Fault> faults_;
    uint64_t misdirect_bytes_ = 0;
    bool lose_write_ = false;
    std::string lie_prefix_;
    Delays delays_;
    bool hung_ = false;
    uint64_t passes_ = 0;
    uint64_t operations_ = 0;
    std::optional<uint64_t> operations_left_;
    bool powered_off_ = false;
    uint64_t shortage_one_in_ = 0;
    bool doubtful_ = false;
};

}  // namespace sandstore
