#include "apps/backup/tree_writer.h"

#include "apps/backup/files.h"
#include "client/calls.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kSettleUs = 10'000'000;
constexpr uint64_t kLookUpUs = 200'000;  // How often Ctrl-C is thought of.

pb::At at_name(uint64_t directory, const std::string& name) {
    pb::At at;
    at.set_inode(directory);
    at.set_path(name);
    return at;
}

}  // namespace

pb::SetAttributes attributes_of(const pb::BackupEntry& entry) {
    pb::SetAttributes attributes;
    attributes.set_mode(entry.mode());
    attributes.set_uid(entry.uid());
    attributes.set_gid(entry.gid());
    if (!entry.directory()) attributes.set_size(entry.size());
    attributes.set_access_time_us(entry.access_time_us());
    attributes.set_modify_time_us(entry.modify_time_us());
    return attributes;
}

TreeWriter::TreeWriter(Client& client, uint64_t inode)
    : shared_(std::make_shared<Shared>(client)), root_inode_(inode) {}

// --- What happens when answers come ----------------------------------------------------------------------------------

void TreeWriter::Shared::send(Message request, std::function<void(const Message&)> done) {
    ++operations;
    const uint64_t length = request.payload.size();
    bytes += length;
    client.submit(std::move(request),
                  [self = shared_from_this(), done = std::move(done), length](const Message& reply) {
                      --self->operations;
                      self->bytes -= length;
                      done(reply);
                  });
}

void TreeWriter::Shared::fail(const ClientStatus& status, const pb::BackupEntry& entry) {
    if (!failure.ok()) return;
    failure = ClientStatus(status.code, str_cat(entry.name(), ": ", status.text()));
}

void TreeWriter::Shared::make_file(const std::shared_ptr<File>& file) {
    pb::Mutation mutation;
    pb::CreateFile& create = *mutation.mutable_create_file();
    *create.mutable_at() = at_name(file->directory->inode, file->entry.name());
    create.set_mode(file->entry.mode());
    mutation.set_uid(file->entry.uid());
    mutation.set_gid(file->entry.gid());
    send(message_of(std::move(mutation)), [this, file](const Message& reply) {
        const ClientStatus status(status_of_reply(reply));
        if (!status.ok()) return fail(status, file->entry);
        file->inode = reply->mutation_result().attributes().inode();
        for (auto& [offset, waiting] : file->waiting) {
            bytes -= waiting.size();
            write(file, offset, std::move(waiting));
        }
        file->waiting.clear();
        finish_if_complete(file);
    });
}

void TreeWriter::Shared::write(const std::shared_ptr<File>& file, uint64_t offset, Payload bytes_of_file) {
    pb::ClientWrite write;
    write.mutable_at()->set_inode(file->inode);
    write.set_offset(offset);
    ++file->writing;
    send(message_of(std::move(write), std::move(bytes_of_file)), [this, file](const Message& reply) {
        --file->writing;
        const ClientStatus status(status_of_reply(reply));
        if (!status.ok()) return fail(status, file->entry);
        finish_if_complete(file);
    });
}

void TreeWriter::Shared::finish_if_complete(const std::shared_ptr<File>& file) {
    if (file->inode == 0 || !file->ended || file->writing > 0 || !file->waiting.empty()) return;
    pb::Mutation mutation;
    *mutation.mutable_set_attributes() = attributes_of(file->entry);
    mutation.mutable_set_attributes()->mutable_at()->set_inode(file->inode);
    if (file->end == file->entry.size()) mutation.mutable_set_attributes()->clear_size();
    send(message_of(std::move(mutation)), [this, file](const Message& reply) {
        const ClientStatus status(status_of_reply(reply));
        if (!status.ok()) fail(status, file->entry);
    });
}

// --- What comes in ---------------------------------------------------------------------------------------------------

bool TreeWriter::wait_until(const std::function<bool()>& done) {
    while (shared_->failure.ok() && !done()) {
        shared_->client.run_until(done, kLookUpUs);
        if (interrupted()) shared_->failure = ClientStatus(pb::STATUS_UNAVAILABLE, "interrupted");
    }
    return shared_->failure.ok();
}

void TreeWriter::wait_for_room() {
    const std::shared_ptr<Shared>& shared = shared_;
    wait_until([&shared] {
        return !shared->failure.ok() || (shared->operations < kOperationsMax && shared->bytes < kBytesMax);
    });
}

void TreeWriter::add_directory(const pb::BackupEntry& entry) {
    wait_for_room();
    if (!failure().ok()) return;
    const auto directory = std::make_shared<Directory>();
    directory->entry = entry;
    const bool root = directories_.empty();
    directories_[entry.inode()] = directory;
    if (root) {
        directory->inode = root_inode_;
        return;
    }
    const std::shared_ptr<Directory> parent = directories_.at(entry.parent());
    const auto make = [shared = shared_.get(), directory, parent] {
        pb::Mutation mutation;
        pb::MakeDirectory& request = *mutation.mutable_make_directory();
        *request.mutable_at() = at_name(parent->inode, directory->entry.name());
        request.set_mode(directory->entry.mode());
        request.set_parents(true);  // One that is there already is fine.
        shared->send(message_of(std::move(mutation)), [shared, directory](const Message& reply) {
            const ClientStatus status(status_of_reply(reply));
            if (!status.ok()) return shared->fail(status, directory->entry);
            directory->inode = reply->mutation_result().attributes().inode();
            for (const auto& then : std::exchange(directory->waiting, {})) then();
        });
    };
    if (parent->inode != 0) return make();
    wait_for(*parent, make);
}

void TreeWriter::begin_file(const pb::BackupEntry& entry) {
    SANDSTORE_CHECK(file_ == nullptr, "the file before has not ended");
    wait_for_room();
    if (!failure().ok()) return;
    file_ = std::make_shared<File>();
    file_->entry = entry;
    file_->entry.clear_extents();
    file_->directory = directories_.at(entry.parent());
    const auto make = [shared = shared_.get(), file = file_] { shared->make_file(file); };
    if (file_->directory->inode != 0) return make();
    wait_for(*file_->directory, make);
}

// Waiting counts as being under way: it must not pile up.
void TreeWriter::wait_for(Directory& directory, std::function<void()> then) {
    ++shared_->operations;
    directory.waiting.push_back([shared = shared_.get(), then = std::move(then)] {
        --shared->operations;
        then();
    });
}

void TreeWriter::write(uint64_t offset, Payload bytes) {
    if (!failure().ok() || bytes.empty()) return;
    file_->end = std::max<uint64_t>(file_->end, offset + bytes.size());
    if (file_->inode == 0) {
        shared_->bytes += bytes.size();
        file_->waiting.emplace_back(offset, std::move(bytes));
    } else {
        shared_->write(file_, offset, std::move(bytes));
    }
    wait_for_room();
}

void TreeWriter::end_file() {
    if (!failure().ok()) return;
    file_->ended = true;
    shared_->finish_if_complete(file_);
    file_.reset();
}

void TreeWriter::settle() {
    const std::shared_ptr<Shared>& shared = shared_;
    // Each ends by itself. What waits for a directory that could not be made never begins.
    shared->client.run_until([&shared] { return shared->operations == 0; }, kSettleUs);
}

ClientStatus TreeWriter::finish() {
    wait_until([this] { return shared_->operations == 0; });
    for (const auto& [id, directory] : directories_) {
        wait_for_room();
        if (!failure().ok()) break;
        if (directory->inode == root_inode_) continue;  // Whoever gave it gives it its attributes.
        pb::Mutation mutation;
        *mutation.mutable_set_attributes() = attributes_of(directory->entry);
        mutation.mutable_set_attributes()->mutable_at()->set_inode(directory->inode);
        shared_->send(message_of(std::move(mutation)), [shared = shared_.get(), directory](const Message& reply) {
            const ClientStatus status(status_of_reply(reply));
            if (!status.ok()) shared->fail(status, directory->entry);
        });
    }
    wait_until([this] { return shared_->operations == 0; });
    return failure();
}

}  // namespace sandstore
