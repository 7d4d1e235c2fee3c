// A real etcd on ports of its own, in a directory that goes with it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace sandstore {

class EtcdProcess {
 public:
    static bool installed();

    EtcdProcess();   // Not started yet: nothing answers at endpoint().
    ~EtcdProcess();  // Kills it and removes its data.
    EtcdProcess(const EtcdProcess&) = delete;
    EtcdProcess& operator=(const EtcdProcess&) = delete;

    std::string endpoint() const;  // "127.0.0.1:12345"
    const std::string& directory() const { return directory_; }
    [[nodiscard]] bool start();  // True when it is healthy.
    void kill();                 // As a power cut; start() brings it back with its data.
    void put(const std::string& key, const std::string& value);
    void remove(const std::string& key);

 private:
    std::string call(const std::string& path, const std::string& body);

    std::string directory_;
    uint16_t port_;
    uint16_t peer_port_;
    pid_t pid_ = -1;
};

}  // namespace sandstore
