// The local end of `fs get`: what cp would do with what is there, and never a part of a file under its name where that
// can be had.
//
// A name that is free, or that of a regular file: written beside under another name, and renamed when complete; what is
// replaced keeps its mode and owner, and a symbolic link is followed. Written in place, from its beginning: devices,
// pipes and descriptors (/dev/fd/N), and files with several hard links or of another owner, which a rename would part
// from what they are.
#pragma once

#include <sys/types.h>

#include <string>

namespace sandstore {

class LocalTarget {
 public:
    explicit LocalTarget(std::string path) : path_(std::move(path)) {}
    ~LocalTarget();  // Without commit(): what was begun beside is removed.
    LocalTarget(const LocalTarget&) = delete;
    LocalTarget& operator=(const LocalTarget&) = delete;

    // 0, or errno. Waits for the reader of a pipe.
    int open();
    int descriptor() const { return descriptor_; }
    // All bytes are written. `mode` is for a file that is new. 0, or errno.
    int commit(mode_t mode);

 private:
    int open_beside(const std::string& place);
    int close();

    std::string path_;
    std::string place_;      // What is renamed to; empty: written in place.
    std::string temporary_;  // Empty: none, or it has its name.
    int descriptor_ = -1;
    bool is_new_ = true;
    mode_t mode_ = 0;
    uid_t owner_ = 0;
    gid_t group_ = 0;
};

}  // namespace sandstore
