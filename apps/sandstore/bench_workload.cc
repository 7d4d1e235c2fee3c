#include "apps/sandstore/bench_workload.h"

#include <algorithm>

#include "runtime/message_of.h"
#include "runtime/random.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kBlockBytes = 4 * kMiB;           // Of sequential reads and writes.
constexpr uint64_t kContentBytes = 256 * kMiB;       // Of all files together that io works on.
constexpr uint64_t kFileBytesMin = 2 * kBlockBytes;  // But each has at least this.
constexpr uint64_t kSmallBytes = 4096;

Payload random_bytes(uint64_t length) {
    RandomStream random(42, length);
    std::string bytes(length, '\0');
    for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
        const uint64_t word = random.next();
        std::copy_n(reinterpret_cast<const char*>(&word), 8, bytes.data() + i);
    }
    return Payload(std::move(bytes));
}

// --- raft ------------------------------------------------------------------------------------------------------------

// The cheapest mutation there is, a new time on an existing file, filled up to the size wanted: so the record in the
// log has about that size and the state machine next to nothing to do.
class RaftWorkload final : public BenchWorkload {
 public:
    explicit RaftWorkload(uint64_t size) : filler_(random_bytes(size).to_string()) {}
    std::string name() const override { return "raft"; }
    std::vector<std::string> kinds() const override { return {"commit"}; }

    ClientStatus prepare(Client& client, const std::string& directory, size_t clients) override {
        for (size_t i = 0; i < clients; ++i) {
            const Result<pb::Attributes> file = client.create_file(str_cat(directory, "/", i));
            if (!file.ok()) return file.status();
            inodes_.push_back(file->inode());
        }
        return {};
    }

    BenchOperation next(size_t client) override {
        pb::Mutation mutation;
        mutation.set_filler(filler_);
        pb::SetAttributes& set = *mutation.mutable_set_attributes();
        set.mutable_at()->set_inode(inodes_[client]);
        set.set_modify_time_us(++counter_);
        return {0, filler_.size(), message_of(std::move(mutation))};
    }

 private:
    const std::string filler_;
    std::vector<uint64_t> inodes_;
    uint64_t counter_ = 0;
};

// --- meta ------------------------------------------------------------------------------------------------------------

// Each client makes a file, looks at it, renames it and removes it, again and again.
class MetaWorkload final : public BenchWorkload {
 public:
    std::string name() const override { return "meta"; }
    std::vector<std::string> kinds() const override { return {"create", "stat", "rename", "remove"}; }

    ClientStatus prepare(Client& client, const std::string& directory, size_t clients) override {
        directory_ = directory;
        steps_.assign(clients, 0);
        for (size_t i = 0; i < clients; ++i) {
            const Result<pb::Attributes> made = client.make_directory(str_cat(directory, "/", i));
            if (!made.ok()) return made.status();
        }
        return {};
    }

    BenchOperation next(size_t client) override {
        const uint64_t step = steps_[client]++;
        const std::string made = str_cat(directory_, "/", client, "/file-", step / 4);
        const std::string renamed = made + "-renamed";
        BenchOperation operation;
        operation.kind = step % 4;
        pb::Mutation mutation;
        pb::Query query;
        switch (operation.kind) {
            case 0:
                mutation.mutable_create_file()->mutable_at()->set_path(made);
                mutation.mutable_create_file()->set_mode(0644);
                break;
            case 1:
                query.mutable_stat()->mutable_at()->set_path(made);
                break;
            case 2:
                mutation.mutable_rename()->mutable_from()->set_path(made);
                mutation.mutable_rename()->mutable_to()->set_path(renamed);
                break;
            default:
                mutation.mutable_remove_file()->mutable_at()->set_path(renamed);
                break;
        }
        operation.request = operation.kind == 1 ? message_of(std::move(query)) : message_of(std::move(mutation));
        return operation;
    }

 private:
    std::string directory_;
    std::vector<uint64_t> steps_;
};

// --- io --------------------------------------------------------------------------------------------------------------

// One file for each client, addressed by inode.
class FilesWorkload : public BenchWorkload {
 public:
    ClientStatus prepare(Client& client, const std::string& directory, size_t clients) override {
        file_bytes_ =
            std::max(kContentBytes / std::max<uint64_t>(1, clients) / kBlockBytes * kBlockBytes, kFileBytesMin);
        block_ = random_bytes(kBlockBytes);
        offsets_.assign(clients, 0);
        for (size_t i = 0; i < clients; ++i) {
            const std::string path = str_cat(directory, "/", i);
            const Result<pb::Attributes> file = client.create_file(path);
            if (!file.ok()) return file.status();
            inodes_.push_back(file->inode());
            for (uint64_t at = 0; filled_at_start() && at < file_bytes_; at += kBlockBytes) {
                const Result<pb::ClientWriteReply> written = client.write(path, at, block_);
                if (!written.ok()) return written.status();
            }
        }
        return {};
    }

 protected:
    virtual bool filled_at_start() const = 0;
    // Round and round through the client's file.
    uint64_t next_offset(size_t client) {
        const uint64_t offset = offsets_[client];
        offsets_[client] = (offset + kBlockBytes) % file_bytes_;
        return offset;
    }
    BenchOperation read_at(size_t client, uint64_t offset, uint64_t length) const {
        pb::ClientRead read;
        read.mutable_at()->set_inode(inodes_[client]);
        read.set_offset(offset);
        read.set_length(length);
        return {0, length, message_of(std::move(read))};
    }

    uint64_t file_bytes_ = 0;
    Payload block_;
    std::vector<uint64_t> inodes_;
    std::vector<uint64_t> offsets_;
};

class SequentialWriteWorkload final : public FilesWorkload {
 public:
    std::string name() const override { return "io"; }
    std::vector<std::string> kinds() const override { return {"write"}; }
    BenchOperation next(size_t client) override {
        pb::ClientWrite write;
        write.mutable_at()->set_inode(inodes_[client]);
        write.set_offset(next_offset(client));
        return {0, kBlockBytes, message_of(std::move(write), block_)};
    }

 protected:
    bool filled_at_start() const override { return false; }
};

class SequentialReadWorkload final : public FilesWorkload {
 public:
    std::string name() const override { return "io"; }
    std::vector<std::string> kinds() const override { return {"read"}; }
    BenchOperation next(size_t client) override { return read_at(client, next_offset(client), kBlockBytes); }

 protected:
    bool filled_at_start() const override { return true; }
};

class RandomReadWorkload final : public FilesWorkload {
 public:
    std::string name() const override { return "io"; }
    std::vector<std::string> kinds() const override { return {"random read"}; }
    BenchOperation next(size_t client) override {
        return read_at(client, random_.below(file_bytes_ / kSmallBytes) * kSmallBytes, kSmallBytes);
    }

 protected:
    bool filled_at_start() const override { return true; }

 private:
    RandomStream random_{7, 7};
};

// A new file of 4 KiB, made and written, durable when it is counted.
class SmallFileWorkload final : public BenchWorkload {
 public:
    std::string name() const override { return "io"; }
    std::vector<std::string> kinds() const override { return {"small file"}; }

    ClientStatus prepare(Client& client, const std::string& directory, size_t clients) override {
        directory_ = directory;
        counts_.assign(clients, 0);
        content_ = random_bytes(kSmallBytes);
        for (size_t i = 0; i < clients; ++i) {
            const Result<pb::Attributes> made = client.make_directory(str_cat(directory, "/", i));
            if (!made.ok()) return made.status();
        }
        return {};
    }

    BenchOperation next(size_t client) override {
        pb::Mutation mutation;
        pb::CreateFile& create = *mutation.mutable_create_file();
        create.mutable_at()->set_path(str_cat(directory_, "/", client, "/", counts_[client]++));
        create.set_mode(0644);
        create.set_exclusive(true);
        return {0, kSmallBytes, message_of(std::move(mutation))};
    }

    std::optional<Message> go_on(size_t, const Message& answer) override {
        if (!answer->has_mutation_result()) return std::nullopt;
        pb::ClientWrite write;
        write.mutable_at()->set_inode(answer->mutation_result().attributes().inode());
        return message_of(std::move(write), content_);
    }

 private:
    std::string directory_;
    std::vector<uint64_t> counts_;
    Payload content_;
};

}  // namespace

std::unique_ptr<BenchWorkload> make_raft_workload(uint64_t size) {
    return std::make_unique<RaftWorkload>(size);
}
std::unique_ptr<BenchWorkload> make_meta_workload() {
    return std::make_unique<MetaWorkload>();
}
std::unique_ptr<BenchWorkload> make_sequential_write_workload() {
    return std::make_unique<SequentialWriteWorkload>();
}
std::unique_ptr<BenchWorkload> make_sequential_read_workload() {
    return std::make_unique<SequentialReadWorkload>();
}
std::unique_ptr<BenchWorkload> make_random_read_workload() {
    return std::make_unique<RandomReadWorkload>();
}
std::unique_ptr<BenchWorkload> make_small_file_workload() {
    return std::make_unique<SmallFileWorkload>();
}

}  // namespace sandstore
