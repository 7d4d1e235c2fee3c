// Loads an etcd cluster as `sandstore bench raft` loads Sandstore: every client puts a value of --size bytes under a
// key of its own and waits for the answer, again and again. Speaks to etcd's JSON gateway over kept HTTP/1.1
// connections, one a client: the libcurl of Debian 12 cannot use a gRPC connection of etcd a second time. The gateway
// costs etcd some of its speed. One line of JSON for each number of clients. For bench/compare.
#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

uint64_t now_us() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count());
}

std::string base64(std::string_view bytes) {
    static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t word = 0;
        for (size_t j = i; j < i + 3; j++) word = (word << 8) | (j < bytes.size() ? static_cast<uint8_t>(bytes[j]) : 0);
        for (int shift = 18; shift >= 0; shift -= 6) text.push_back(kLetters[(word >> shift) & 63]);
    }
    for (size_t i = 0; i < (3 - bytes.size() % 3) % 3; i++) text[text.size() - 1 - i] = '=';
    return text;
}

struct EtcdClient {
    CURL* handle = nullptr;
    std::string request;
    uint64_t began_us = 0;
};

size_t ignore_body(char*, size_t size, size_t count, void*) {
    return size * count;
}

struct Options {
    std::string server;
    std::vector<size_t> clients;
    size_t size = 256;
    double seconds = 4;
};

bool parse(int count, char** arguments, Options* options) {
    for (int i = 1; i < count; i++) {
        const std::string_view argument = arguments[i];
        const size_t equals = argument.find('=');
        if (equals == std::string_view::npos) return false;
        const std::string name(argument.substr(0, equals));
        const std::string value(argument.substr(equals + 1));
        if (name == "--server") {
            options->server = value;
        } else if (name == "--size") {
            options->size = std::strtoull(value.c_str(), nullptr, 10);
        } else if (name == "--seconds") {
            options->seconds = std::strtod(value.c_str(), nullptr);
        } else if (name == "--clients") {
            for (const char* at = value.c_str(); *at != '\0';) {
                char* end = nullptr;
                options->clients.push_back(std::strtoull(at, &end, 10));
                if (end == at) return false;
                at = *end == ',' ? end + 1 : end;
            }
        } else {
            return false;
        }
    }
    return !options->server.empty() && !options->clients.empty() && options->seconds > 0;
}

class Load {
 public:
    Load(const Options& options, size_t clients) : options_(options), multi_(curl_multi_init()), clients_(clients) {
        curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(clients));
        headers_ = curl_slist_append(headers_, "content-type: application/json");
        headers_ = curl_slist_append(headers_, "expect:");
        const std::string value(options.size, 'v');
        for (size_t i = 0; i < clients; i++) prepare(clients_[i], "bench/" + std::to_string(i), value);
    }
    ~Load() {
        for (EtcdClient& client : clients_) {
            curl_multi_remove_handle(multi_, client.handle);
            curl_easy_cleanup(client.handle);
        }
        curl_multi_cleanup(multi_);
        curl_slist_free_all(headers_);
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void run() {
        constexpr uint64_t kWarmUpUs = 1'000'000;
        measure_from_us_ = now_us() + kWarmUpUs;
        until_us_ = measure_from_us_ + static_cast<uint64_t>(options_.seconds * 1e6);
        for (EtcdClient& client : clients_) send(client);
        while (under_way_ > 0) {
            int running = 0;
            curl_multi_perform(multi_, &running);
            take_answers();
            if (under_way_ > 0) curl_multi_poll(multi_, nullptr, 0, 100, nullptr);
        }
    }

    void print() {
        std::sort(latencies_us_.begin(), latencies_us_.end());
        const auto quantile = [this](double part) {
            return latencies_us_.empty() ? 0 : latencies_us_[static_cast<size_t>(part * (latencies_us_.size() - 1))];
        };
        std::printf(
            "{\"workload\":\"etcd put\",\"clients\":%zu,\"ops_per_second\":%.1f,\"p50_us\":%llu,\"p99_us\":%llu,"
            "\"errors\":%zu}\n",
            clients_.size(), static_cast<double>(latencies_us_.size()) / options_.seconds,
            static_cast<unsigned long long>(quantile(0.5)), static_cast<unsigned long long>(quantile(0.99)), errors_);
        std::fflush(stdout);
    }

 private:
    void prepare(EtcdClient& client, const std::string& key, const std::string& value) {
        client.request = "{\"key\":\"" + base64(key) + "\",\"value\":\"" + base64(value) + "\"}";
        client.handle = curl_easy_init();
        const std::string url = "http://" + options_.server + "/v3/kv/put";
        curl_easy_setopt(client.handle, CURLOPT_URL, url.c_str());
        curl_easy_setopt(client.handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(client.handle, CURLOPT_HTTPHEADER, headers_);
        curl_easy_setopt(client.handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(client.request.size()));
        curl_easy_setopt(client.handle, CURLOPT_POSTFIELDS, client.request.data());
        curl_easy_setopt(client.handle, CURLOPT_WRITEFUNCTION, ignore_body);
        curl_easy_setopt(client.handle, CURLOPT_PRIVATE, &client);
        curl_easy_setopt(client.handle, CURLOPT_TIMEOUT, 30L);
        curl_easy_setopt(client.handle, CURLOPT_NOSIGNAL, 1L);
    }

    void send(EtcdClient& client) {
        client.began_us = now_us();
        if (client.began_us >= until_us_) return;
        under_way_++;
        curl_multi_add_handle(multi_, client.handle);
    }

    void take_answers() {
        int left = 0;
        while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            EtcdClient* client = nullptr;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &client);
            long code = 0;
            curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &code);
            const bool ok = message->data.result == CURLE_OK && code == 200;
            if (!ok && errors_ == 0) {
                std::fprintf(stderr, "etcd_load: %s, HTTP status %ld\n", curl_easy_strerror(message->data.result),
                             code);
            }
            curl_multi_remove_handle(multi_, client->handle);
            under_way_--;
            const uint64_t now = now_us();
            if (now >= measure_from_us_ && now < until_us_) {
                if (ok) {
                    latencies_us_.push_back(now - client->began_us);
                } else {
                    errors_++;
                }
            }
            send(*client);
        }
    }

    const Options& options_;
    CURLM* multi_;
    curl_slist* headers_ = nullptr;
    std::vector<EtcdClient> clients_;
    std::vector<uint64_t> latencies_us_;
    uint64_t measure_from_us_ = 0;
    uint64_t until_us_ = 0;
    size_t under_way_ = 0;
    size_t errors_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
    Options options;
    if (!parse(count, arguments, &options)) {
        std::fprintf(stderr, "usage: etcd_load --server=HOST:PORT --clients=N,N,... [--size=BYTES] [--seconds=S]\n");
        return 2;
    }
    curl_global_init(CURL_GLOBAL_ALL);
    for (const size_t clients : options.clients) {
        Load load(options, clients);
        load.run();
        load.print();
    }
    curl_global_cleanup();
    return 0;
}
