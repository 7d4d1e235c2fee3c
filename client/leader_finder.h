// Where to turn to: the servers known, which one is believed to lead, and which ones failed a moment ago. A value
// class: no messages, no clock. All requests of a client share one, so what one learns helps the others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

class LeaderFinder {
 public:
    // A server that did not answer is avoided for this long where there is a choice, and hints that name it are not
    // followed: followers name a dead leader until the next election.
    static constexpr uint64_t kDistrustUs = 1'000'000;

    // Duplicates and addresses that are not host:port are left out. `random` chooses the first server to try.
    void set_servers(const std::vector<std::string>& servers, uint64_t random);
    bool empty() const { return servers_.empty(); }
    size_t size() const { return servers_.size(); }
    const std::string& server(size_t i) const { return servers_[i % servers_.size()]; }

    // The leader if known, else the next guess. Not when empty.
    const std::string& current() const { return servers_[current_]; }
    size_t current_index() const { return current_; }
    bool leader_known() const { return leader_known_; }

    // `server` answered.
    void answered(std::string_view server);
    // `server` answered as only a leader does.
    void confirmed(std::string_view server);
    // `server` does not lead; the hint may be empty. True: current() is worth asking at once.
    bool redirected(std::string_view server, const std::string& hint, uint64_t now_us);
    // `server` leads no more or cannot serve, but it is there.
    void refused(std::string_view server, uint64_t now_us);
    // `server` could not be reached or did not answer in time.
    void failed(std::string_view server, uint64_t now_us, std::string_view why = {});
    bool distrusted(std::string_view server, uint64_t now_us) const;

    // For a person who waits: whether any server ever answered, and why the last one did not.
    bool heard_anybody() const { return heard_anybody_; }
    const std::string& last_failure() const { return last_failure_; }

 private:
    void move_on(uint64_t now_us);
    bool learn(const std::string& address, size_t* index);

    std::vector<std::string> servers_;
    std::map<std::string, uint64_t, std::less<>> distrusted_until_us_;
    size_t current_ = 0;
    bool leader_known_ = false;
    bool heard_anybody_ = false;
    std::string last_failure_;
};

// "host:port" with a port of 1..65535; "[::1]:80" too.
bool is_server_address(std::string_view text);

}  // namespace sandstore
