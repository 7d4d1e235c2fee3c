#include "apps/backup/restore_target.h"

#include "apps/common/remote_path.h"
#include "apps/common/remove_tree.h"
#include "client/calls.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

RestoreTarget::RestoreTarget(Client& client, std::string into, std::string backup_id)
    : client_(client), into_(tidy_path(into)) {
    const std::string parent = into_.substr(0, into_.rfind('/') + 1);
    const std::string name = base_name(into_);
    work_ = str_cat(parent, ".restore-", name.empty() ? "" : str_cat(name, "-"), backup_id);
    done_ = str_cat(parent, ".restored-", name.empty() ? "" : str_cat(name, "-"), backup_id);
}

bool RestoreTarget::fail(std::string_view what) {
    error_ = what;
    return false;
}

// --- The place -------------------------------------------------------------------------------------------------------

bool RestoreTarget::prepare() {
    const Result<pb::Attributes> done = client_.stat(done_);
    moving_ = done.ok();
    if (!done.ok() && done.code() != pb::STATUS_ENOENT) return fail(str_cat(done_, ": ", done.text()));
    if (moving_) {
        work_inode_ = done->inode();
        return true;
    }
    if (!check_empty()) return false;
    const std::string parent = work_.substr(0, work_.rfind('/'));
    if (!parent.empty()) {
        const Result<pb::Attributes> made = client_.make_directory(parent, true);
        if (!made.ok()) return fail(str_cat(parent, ": ", made.text()));
    }
    Result<pb::Attributes> work = client_.make_directory(work_, false, 0700);
    made_work_ = work.ok();
    if (work.code() == pb::STATUS_EEXIST) work = client_.make_directory(work_, true, 0700);
    if (!work.ok()) return fail(str_cat(work_, ": ", work.text()));
    work_inode_ = work->inode();
    writer_ = std::make_unique<TreeWriter>(client_, work_inode_);
    return learn_existing();
}

bool RestoreTarget::check_empty() {
    const Result<std::vector<pb::DirectoryEntry>> entries = client_.list(into_);
    if (!entries.ok() && entries.code() == pb::STATUS_ENOENT && into_ != "/") return true;
    if (!entries.ok()) return fail(str_cat(into_, ": ", entries.text()));
    for (const pb::DirectoryEntry& entry : *entries) {
        if (join_path(into_, entry.name()) == work_) continue;
        if (into_ != "/")
            return fail(str_cat(into_, ": is not empty; restore into a directory that does not exist yet"));
        return fail("the cluster is not empty: restore beside what is there with --into=/DIRECTORY");
    }
    return true;
}

// What an earlier run has left.
bool RestoreTarget::learn_existing() {
    const Result<std::vector<pb::DirectoryEntry>> entries = client_.list(work_);
    if (!entries.ok()) return fail(str_cat(work_, ": ", entries.text()));
    if (entries->empty()) return true;
    existing_ = std::make_unique<ExportedNamespace>();
    if (ClientStatus status = export_namespace(client_, existing_.get()); !status.ok()) return fail(status.text());
    comparer_ = std::make_unique<TreeComparer>(existing_->state.files(), work_inode_);
    return true;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

bool RestoreTarget::add(const pb::BackupEntry& entry) {
    if (!error_.empty()) return false;
    const uint64_t inode = comparer_ == nullptr ? 0 : comparer_->find(entry);
    if (entry.directory()) {
        writer_->add_directory(entry);
        return false;
    }
    if (inode != 0 && comparer_->difference(entry, inode).empty()) {
        ++kept_files_;
        return false;
    }
    if (inode != 0 && !remove_existing(entry, inode)) return false;
    writer_->begin_file(entry);
    return writer_->failure().ok();
}

// Half a file from an earlier run: its holes must be holes again.
bool RestoreTarget::remove_existing(const pb::BackupEntry& entry, uint64_t inode) {
    pb::Mutation mutation;
    pb::At& at = *mutation.mutable_remove_file()->mutable_at();
    const uint64_t parent = comparer_->inode_of_directory(entry.parent());
    at.set_inode(parent);
    at.set_path(entry.name());
    mutation.mutable_remove_file()->set_inode(inode);  // Nothing that somebody else has put there meanwhile.
    const Message reply = ask_cluster(client_, message_of(std::move(mutation)));
    const ClientStatus status(status_of_reply(reply));
    return status.ok() || status.code == pb::STATUS_ENOENT || fail(str_cat(entry.name(), ": ", status.text()));
}

void RestoreTarget::abandon() {
    if (moving_ || !made_work_) return;
    writer_->settle();
    (void)remove_tree(client_, work_);
}

bool RestoreTarget::finish_writing() {
    if (!error_.empty()) return false;
    const ClientStatus status = writer_->finish();
    return status.ok() || fail(status.text());
}

// --- Comparing -------------------------------------------------------------------------------------------------------

bool RestoreTarget::begin_comparing() {
    existing_ = std::make_unique<ExportedNamespace>();
    if (ClientStatus status = export_namespace(client_, existing_.get()); !status.ok()) return fail(status.text());
    comparer_ = std::make_unique<TreeComparer>(existing_->state.files(), work_inode_);
    return true;
}

bool RestoreTarget::compare(const pb::BackupEntry& entry) {
    compared_inode_ = comparer_->find(entry);
    if (compared_inode_ == work_inode_) return true;  // Its attributes come with its place.
    const std::string difference = comparer_->difference(entry, compared_inode_);
    return difference.empty() || fail(str_cat(entry.name(), ": not as in the backup: ", difference));
}

bool RestoreTarget::end_comparing() {
    const uint64_t beside = comparer_->entries_beside();
    return beside == 0 ||
           fail(str_cat(work_, ": ", beside, " entries are not in the backup: has somebody written there?"));
}

// --- Into place ------------------------------------------------------------------------------------------------------

bool RestoreTarget::move_into_place(const pb::BackupEntry& root) {
    if (into_ == "/") return move_to_root(root);
    pb::SetAttributes attributes = attributes_of(root);
    attributes.mutable_at()->set_inode(work_inode_);
    const Result<pb::Attributes> set = client_.set_attributes(std::move(attributes));
    if (!set.ok()) return fail(str_cat(work_, ": ", set.text()));
    const ClientStatus moved = client_.rename(work_, into_);
    return moved.ok() || fail(str_cat(into_, ": ", moved.text()));
}

// The root cannot be replaced: its entries move, one by one. From the first one on it is known that all is there.
bool RestoreTarget::move_to_root(const pb::BackupEntry& root) {
    if (!moving_) {
        const ClientStatus named = client_.rename(work_, done_);
        if (!named.ok()) return fail(str_cat(done_, ": ", named.text()));
        moving_ = true;
    }
    const Result<std::vector<pb::DirectoryEntry>> entries = client_.list(done_);
    if (!entries.ok()) return fail(str_cat(done_, ": ", entries.text()));
    for (const pb::DirectoryEntry& entry : *entries) {
        const std::string name = str_cat("/", entry.name());
        const ClientStatus moved = client_.rename(str_cat(done_, name), name, true);
        if (!moved.ok()) return fail(str_cat(name, ": ", moved.text()));
    }
    if (const ClientStatus removed = client_.remove_directory(done_); !removed.ok()) {
        return fail(str_cat(done_, ": ", removed.text()));
    }
    pb::SetAttributes attributes = attributes_of(root);
    attributes.mutable_at()->set_inode(1);
    const Result<pb::Attributes> set = client_.set_attributes(std::move(attributes));
    return set.ok() || fail(str_cat("/: ", set.text()));
}

}  // namespace sandstore
