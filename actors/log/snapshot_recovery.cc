#include "actors/log/snapshot_recovery.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "runtime/disk_error.h"
#include "runtime/text.h"

namespace sandstore {

void append_set_aside(DiskCall* call, const std::string& file, std::vector<std::string>* set_aside) {
    const std::string to = file + std::string(kDamagedSuffix);
    for (const std::string& before : *set_aside) {
        if (before != to) call->remove(before);
    }
    call->rename(file, to);
    *set_aside = {to};
}

SnapshotRecovery::SnapshotRecovery(const pb::StartSnapshots& start) : start_(start) {}

DiskCall SnapshotRecovery::begin() const {
    DiskCall call;
    call.make_directory(start_.directory());  // Also syncs it: the process before may have died before it could.
    call.list(start_.directory());
    return call;
}

SnapshotRecovery::Progress SnapshotRecovery::on_reply(const DiskCall& call, const pb::DiskReply& reply,
                                                      const Payload& payload, DiskCall* next) {
    // A file that cannot be read twice in a row is damaged; whatever else went wrong says nothing about it.
    const bool unreadable = phase_ == Phase::kCheck && is_unreadable(reply.error());
    if (unreadable && std::exchange(unreadable_place_, place_ + 1) != place_ + 1) {
        *next = call;
        return Progress::kMore;
    }
    if (reply.error() != 0 && !unreadable) {
        return refuse(str_cat("The snapshots cannot be read back: ", describe_failure(call.request, reply),
                              ". Check the disk, then start the node again"));
    }
    switch (phase_) {
        case Phase::kList:
            return on_list(reply, next);
        case Phase::kCheck:
            if (reply.error() != 0) return set_aside(describe_failure(call.request, reply), next);
            return on_checked(reply, payload, next);
        case Phase::kTakeBack:
            result_.kept.push_back({checker_->meta(), checker_->header_bytes()});
            [[fallthrough]];
        case Phase::kSetAside:
            place_++;
            return check_next(next);
        case Phase::kIncomingMeta:
            return on_incoming_meta(payload, next);
        case Phase::kIncomingBytes:
            return on_incoming_bytes(payload, next);
        case Phase::kClean:
            return Progress::kDone;
    }
    return Progress::kRefused;
}

SnapshotRecovery::Progress SnapshotRecovery::on_list(const pb::DiskReply& reply, DiskCall* next) {
    for (const pb::DiskFile& file : reply.files()) {
        const std::string& name = file.name();
        if (const std::optional<SnapshotName> parsed = parse_snapshot_name(name)) {
            files_.push_back({*parsed, name, file.size(), false});
        } else if (name == kIncomingMetaFile) {
            has_incoming_meta_ = true;
        } else if (name == kIncomingFile) {
            incoming_file_bytes_ = file.size();
        } else if (name.ends_with(kTemporarySuffix)) {
            unwanted_.push_back(path(name));
        } else if (name.ends_with(kDamagedSuffix)) {
            result_.damaged.push_back(path(name));
            const std::string_view before = std::string_view(name).substr(0, name.size() - kDamagedSuffix.size());
            if (const auto parsed_before = parse_snapshot_name(before)) {
                files_.push_back({*parsed_before, name, file.size(), true});
            }
        } else {
            notes_.push_back(str_cat("ignoring the unknown file ", path(name)));
        }
    }
    std::sort(files_.begin(), files_.end(), [](const File& a, const File& b) {
        return std::tuple(a.name.index, a.name.term, b.is_aside) > std::tuple(b.name.index, b.name.term, a.is_aside);
    });
    return check_next(next);
}

// --- Whole snapshots

bool SnapshotRecovery::is_of_use(const File& file) const {
    if (result_.kept.size() == kSnapshotsKept) return false;
    if (!file.is_aside) return true;
    const bool is_there = std::ranges::count(result_.damaged, path(file.file)) > 0;
    const bool is_here_already = !result_.kept.empty() && result_.kept.back().meta.index() == file.name.index &&
                                 result_.kept.back().meta.term() == file.name.term;
    return is_there && !is_here_already;
}

SnapshotRecovery::Progress SnapshotRecovery::check_next(DiskCall* next) {
    for (; place_ < files_.size() && !is_of_use(files_[place_]); place_++) {
        if (!files_[place_].is_aside) unwanted_.push_back(path(files_[place_].file));
    }
    if (place_ == files_.size()) return look_at_incoming(next);
    phase_ = Phase::kCheck;
    checker_.emplace(start_.cluster_id(), files_[place_].bytes);
    next->read(path(files_[place_].file), 0, std::min(kReadBytes, files_[place_].bytes));
    return Progress::kMore;
}

SnapshotRecovery::Progress SnapshotRecovery::on_checked(const pb::DiskReply&, const Payload& payload, DiskCall* next) {
    const File& file = files_[place_];
    switch (checker_->feed(payload)) {
        case SnapshotChecker::Verdict::kMore:
            if (payload.empty()) return set_aside("it ends too early", next);
            next->read(path(file.file), checker_->fed_bytes(),
                       std::min(kReadBytes, file.bytes - checker_->fed_bytes()));
            return Progress::kMore;
        case SnapshotChecker::Verdict::kWhole:
            return accept(next);
        case SnapshotChecker::Verdict::kDamaged:
            return set_aside(checker_->problem(), next);
        case SnapshotChecker::Verdict::kUnknownVersion:
        case SnapshotChecker::Verdict::kForeign:
            if (file.is_aside) return set_aside(checker_->problem(), next);
            return refuse(str_cat("The snapshot ", path(file.file), " cannot be used: ", checker_->problem()));
    }
    return Progress::kRefused;
}

SnapshotRecovery::Progress SnapshotRecovery::accept(DiskCall* next) {
    const File& file = files_[place_];
    const pb::SnapshotMeta& meta = checker_->meta();
    if (meta.index() != file.name.index || meta.term() != file.name.term) {
        return set_aside(str_cat("it says that it ends with entry ", meta.index(), " of term ", meta.term()), next);
    }
    if (file.is_aside) return take_back(next);
    result_.kept.push_back({meta, checker_->header_bytes()});
    place_++;
    return check_next(next);
}

SnapshotRecovery::Progress SnapshotRecovery::take_back(DiskCall* next) {
    const std::string aside = path(files_[place_].file);
    const std::string file = aside.substr(0, aside.size() - kDamagedSuffix.size());
    next->rename(aside, file);
    std::erase(result_.damaged, aside);
    notes_.push_back(
        str_cat("the snapshot ", aside, " was set aside as damaged, and is intact: it is used again as ", file));
    phase_ = Phase::kTakeBack;
    return Progress::kMore;
}

SnapshotRecovery::Progress SnapshotRecovery::set_aside(std::string why, DiskCall* next) {
    if (files_[place_].is_aside) {  // It is, and stays so.
        place_++;
        return check_next(next);
    }
    const std::string file = path(files_[place_].file);
    append_set_aside(next, file, &result_.damaged);
    notes_.push_back(str_cat("the snapshot ", file, " is damaged (", why, ") and is kept as ", result_.damaged.front(),
                             "; the one before it is used"));
    phase_ = Phase::kSetAside;
    return Progress::kMore;
}

// --- The one that was being received

SnapshotRecovery::Progress SnapshotRecovery::look_at_incoming(DiskCall* next) {
    if (!has_incoming_meta_) return forget_incoming(next);
    phase_ = Phase::kIncomingMeta;
    next->read(path(kIncomingMetaFile), 0, kReadBytes);
    return Progress::kMore;
}

SnapshotRecovery::Progress SnapshotRecovery::on_incoming_meta(const Payload& payload, DiskCall* next) {
    const std::optional<pb::SnapshotMeta> meta = decode_incoming_meta(payload.to_string());
    const bool useful = meta && (result_.kept.empty() || meta->index() > result_.kept.front().meta.index());
    if (!useful || incoming_file_bytes_.value_or(0) > meta->file_bytes()) return forget_incoming(next);
    result_.incoming = *meta;
    if (incoming_file_bytes_.value_or(0) == 0) return clean(next);
    phase_ = Phase::kIncomingBytes;
    checker_.emplace(start_.cluster_id(), meta->file_bytes());
    next->read(path(kIncomingFile), 0, std::min(kReadBytes, *incoming_file_bytes_));
    return Progress::kMore;
}

SnapshotRecovery::Progress SnapshotRecovery::on_incoming_bytes(const Payload& payload, DiskCall* next) {
    const SnapshotChecker::Verdict verdict = checker_->feed(payload);
    if (verdict == SnapshotChecker::Verdict::kMore && !payload.empty() &&
        checker_->fed_bytes() < *incoming_file_bytes_) {
        next->read(path(kIncomingFile), checker_->fed_bytes(),
                   std::min(kReadBytes, *incoming_file_bytes_ - checker_->fed_bytes()));
        return Progress::kMore;
    }
    // Even of a whole file the last section is asked for again, so that the ordinary way to completion is taken.
    result_.incoming_bytes = verdict == SnapshotChecker::Verdict::kWhole
                                 ? checker_->checked_bytes() - kSnapshotTrailerBytes
                                 : checker_->checked_bytes();
    notes_.push_back(str_cat("receiving the snapshot of entry ", result_.incoming->index(), " goes on at byte ",
                             result_.incoming_bytes));
    return clean(next);
}

SnapshotRecovery::Progress SnapshotRecovery::forget_incoming(DiskCall* next) {
    if (incoming_file_bytes_) unwanted_.push_back(path(kIncomingFile));
    if (has_incoming_meta_) unwanted_.push_back(path(kIncomingMetaFile));
    return clean(next);
}

// --- Small parts

SnapshotRecovery::Progress SnapshotRecovery::clean(DiskCall* next) {
    phase_ = Phase::kClean;
    for (const std::string& file : unwanted_) next->remove(file);
    return unwanted_.empty() ? Progress::kDone : Progress::kMore;
}

SnapshotRecovery::Progress SnapshotRecovery::refuse(std::string why) {
    refusal_ = std::move(why);
    return Progress::kRefused;
}

std::string SnapshotRecovery::path(std::string_view name) const {
    return str_cat(start_.directory(), "/", name);
}

}  // namespace sandstore
