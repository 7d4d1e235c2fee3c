// Counters, gauges and histograms, rendered in Prometheus' text format. Reactor thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
    void add(uint64_t amount = 1) { value_ += amount; }
    uint64_t value() const { return value_; }

 private:
    uint64_t value_ = 0;
};

class Gauge {
 public:
    void set(double value) { value_ = value; }
    double value() const { return value_; }

 private:
    double value_ = 0;
};

// Buckets double from 50 microseconds to about 105 seconds.
class Histogram {
 public:
    static constexpr int kBuckets = 22;
    static constexpr uint64_t kFirstBucketUs = 50;
    void observe_us(uint64_t microseconds);
    uint64_t count() const { return count_; }
    uint64_t sum_us() const { return sum_us_; }
    uint64_t bucket(int i) const { return buckets_[i]; }
    void add(const Histogram& other);
    void subtract(const Histogram& earlier);  // What was observed since it was copied.
    // An estimate from the buckets: right to within a factor of two. 0 when nothing was observed; the last bucket's
    // limit for what lies beyond it.
    uint64_t quantile_us(double part) const;

 private:
    uint64_t buckets_[kBuckets] = {};
    uint64_t count_ = 0;
    uint64_t sum_us_ = 0;
};

// Owns all metrics of a node; what it returns stays valid as long as it lives. Asking twice for the same name and
// labels gives the same metric. Names follow Prometheus: sandstore_<part>_<what>_<unit>, counters end in _total,
// histograms in _seconds. Every one of them is described in docs/metrics.md.
class MetricsRegistry {
 public:
    MetricsRegistry();
    ~MetricsRegistry();
    Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
    Histogram& histogram(std::string_view name, std::string_view help, const MetricLabels& labels = {});
    // A counter that is measured elsewhere and may have fractions, as the processor's time: set it, never downwards.
    Gauge& measured_counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
    // Makes a metric known whose labels come with the first event: it is rendered without any value until then.
    void declare(std::string_view name, std::string_view help, std::string_view type) { family(name, help, type); }
    // Called before each render(): for what is only looked at when somebody asks.
    void before_render(std::function<void()> refresh) { refreshes_.push_back(std::move(refresh)); }
    std::string render() const;

    // For the node's own history: the sum over all labels; 0 and empty when there is no such metric (yet).
    uint64_t counter_total(std::string_view name) const;
    // `counted` chooses by the labels, as they are rendered: api="files",op="rename",code="ok".
    using LabelFilter = std::function<bool(std::string_view labels)>;
    Histogram histogram_total(std::string_view name, const LabelFilter& counted = nullptr) const;
    double gauge_total(std::string_view name) const;
    bool has(std::string_view name) const { return families_.contains(name); }

 private:
    struct Family;
    Family& family(std::string_view name, std::string_view help, std::string_view type);
    std::map<std::string, std::unique_ptr<Family>, std::less<>> families_;
    std::vector<std::function<void()>> refreshes_;
};

}  // namespace sandstore
