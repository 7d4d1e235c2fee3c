#include "client/leader_finder.h"

#include <algorithm>
#include <charconv>

#include "client/settings.h"

namespace sandstore {

bool is_server_address(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || text.size() > 300) return false;
    if (text.find_first_of(" \t\r\n/@~,") != std::string_view::npos) return false;
    const std::string_view port = text.substr(colon + 1);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    return error == std::errc() && end == port.data() + port.size() && number >= 1 && number <= 65535;
}

void LeaderFinder::set_servers(const std::vector<std::string>& servers, uint64_t random) {
    servers_.clear();
    distrusted_until_us_.clear();
    leader_known_ = false;
    size_t ignored = 0;
    for (const std::string& server : servers) learn(server, &ignored);
    current_ = servers_.empty() ? 0 : random % servers_.size();
}

bool LeaderFinder::learn(const std::string& address, size_t* index) {
    if (!is_server_address(address)) return false;
    const auto found = std::find(servers_.begin(), servers_.end(), address);
    *index = static_cast<size_t>(found - servers_.begin());
    if (found != servers_.end()) return true;
    if (servers_.size() >= kServersMax) return false;
    servers_.push_back(address);
    return true;
}

void LeaderFinder::answered(std::string_view server) {
    heard_anybody_ = true;
    const auto found = distrusted_until_us_.find(server);
    if (found != distrusted_until_us_.end()) distrusted_until_us_.erase(found);
}

void LeaderFinder::confirmed(std::string_view server) {
    answered(server);
    if (servers_[current_] == server) leader_known_ = true;
}

bool LeaderFinder::redirected(std::string_view server, const std::string& hint, uint64_t now_us) {
    answered(server);
    if (servers_[current_] != server) return true;  // Another request found out in the meantime.
    size_t index = 0;
    if (hint != server && !distrusted(hint, now_us) && learn(hint, &index)) {
        current_ = index;
        leader_known_ = true;
        return true;
    }
    move_on(now_us);
    return false;
}

void LeaderFinder::refused(std::string_view server, uint64_t now_us) {
    heard_anybody_ = true;
    if (servers_[current_] == server) move_on(now_us);
}

void LeaderFinder::failed(std::string_view server, uint64_t now_us, std::string_view why) {
    last_failure_ = why;
    if (distrusted_until_us_.size() < 4 * kServersMax || distrusted_until_us_.contains(server)) {
        distrusted_until_us_[std::string(server)] = now_us + kDistrustUs;
    } else {
        std::erase_if(distrusted_until_us_, [now_us](const auto& entry) { return entry.second <= now_us; });
    }
    if (!servers_.empty() && servers_[current_] == server) move_on(now_us);
}

bool LeaderFinder::distrusted(std::string_view server, uint64_t now_us) const {
    const auto found = distrusted_until_us_.find(server);
    return found != distrusted_until_us_.end() && now_us < found->second;
}

void LeaderFinder::move_on(uint64_t now_us) {
    leader_known_ = false;
    for (size_t step = 1; step <= servers_.size(); ++step) {
        const size_t next = (current_ + step) % servers_.size();
        if (distrusted(servers_[next], now_us)) continue;
        current_ = next;
        return;
    }
    current_ = (current_ + 1) % servers_.size();  // All failed lately: one after the other.
}

}  // namespace sandstore
