#include "tests/etcd/etcd_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "actors/cluster/base64.h"
#include "apps/operator/http_call.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr const char* kBinary = "/usr/bin/etcd";
constexpr auto kPatience = std::chrono::seconds(30);

// A port that the kernel has just had free.
uint16_t free_port() {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    bind(probe, reinterpret_cast<sockaddr*>(&address), length);
    getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length);
    close(probe);
    return ntohs(address.sin_port);
}

}  // namespace

bool EtcdProcess::installed() {
    return access(kBinary, X_OK) == 0;
}

EtcdProcess::EtcdProcess() : port_(free_port()), peer_port_(free_port()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "sandstore-etcd-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
}

EtcdProcess::~EtcdProcess() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string EtcdProcess::endpoint() const {
    return str_cat("127.0.0.1:", port_);
}

bool EtcdProcess::start() {
    const std::string client = str_cat("http://", endpoint());
    const std::string peer = str_cat("http://127.0.0.1:", peer_port_);
    const std::vector<std::string> arguments = {kBinary,
                                                "--name=etcd",
                                                str_cat("--data-dir=", directory_, "/etcd"),
                                                str_cat("--listen-client-urls=", client),
                                                str_cat("--advertise-client-urls=", client),
                                                str_cat("--listen-peer-urls=", peer),
                                                str_cat("--initial-advertise-peer-urls=", peer),
                                                str_cat("--initial-cluster=etcd=", peer)};
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    const std::string log = directory_ + "/etcd.log";
    pid_ = fork();
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execv(kBinary, pointers.data());
        _exit(127);
    }
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
        if (http_call(client + "/health", "", 1'000).code == 200) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
}

void EtcdProcess::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

std::string EtcdProcess::call(const std::string& path, const std::string& body) {
    const HttpAnswer answer = http_call(str_cat("http://", endpoint(), path), body, 5'000);
    EXPECT_EQ(answer.code, 200) << path << ": " << answer.error << answer.body;
    return answer.body;
}

void EtcdProcess::put(const std::string& key, const std::string& value) {
    call("/v3/kv/put", str_cat(R"({"key":")", base64_encode(key), R"(","value":")", base64_encode(value), R"("})"));
}

void EtcdProcess::remove(const std::string& key) {
    call("/v3/kv/deleterange", str_cat(R"({"key":")", base64_encode(key), R"("})"));
}

}  // namespace sandstore
