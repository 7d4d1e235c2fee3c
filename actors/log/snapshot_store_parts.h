// Parts of SnapshotStore that only its own files see.
#pragma once

#include <optional>
#include <string>

#include "actors/log/snapshot_store.h"

namespace sandstore {

// What a failed disk request means for who asked for it.
pb::Status status_of_failure(const DiskCall& call, const pb::DiskReply& reply);

struct SnapshotStore::Saving {
    ReplyTo reply_to;
    pb::SnapshotMeta meta;
    std::string temporary_file;
    uint64_t header_bytes = 0;
    uint64_t written_bytes = 0;  // With what is on its way to the disk.
    uint64_t unsynced_bytes = 0;
    uint64_t section_count = 0;
    uint32_t file_crc = 0;
    uint64_t next_piece = 0;  // The one that is asked for, or will be.
    RequestId piece_request = 0;
    std::optional<Payload> held;       // A piece that waits for the disk.
    bool last = false;                 // The newest piece is the last one.
    bool ended = false;                // The last request to the disk is on its way.
    std::optional<pb::Status> failed;  // The temporary file is being removed; then this is the answer.
};

struct SnapshotStore::Receiving {
    enum class Step { kTaking, kReadingBack, kNaming, kGivingUp };
    pb::SnapshotMeta meta;
    Step step = Step::kTaking;
    uint64_t next_offset = 0;
    uint64_t unsynced_bytes = 0;
    std::optional<SnapshotChecker> checker;  // While reading back.
    pb::Status failure;                      // While giving up.
};

struct SnapshotStore::Arrival {
    ReplyTo reply_to;
    pb::SnapshotMeta meta;
    uint64_t offset = 0;
    Payload bytes;
};

struct SnapshotStore::Reading {
    enum class For { kBytes, kSection, kVerify };
    ReplyTo reply_to;
    For what = For::kBytes;
    pb::SnapshotMeta asked;  // Index and term, as in the request.
    KeptSnapshot snapshot;
    std::optional<SnapshotChecker> checker;  // Of kVerify.
    std::string problem;                     // What it found.
    DiskCall call;
    uint64_t offset = 0;
    uint64_t length = 0;
    bool unreadable = false;  // Once: the disk said so.
};

}  // namespace sandstore
