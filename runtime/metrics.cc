#include "runtime/metrics.h"

#include <cmath>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

void Histogram::observe_us(uint64_t microseconds) {
    count_++;
    sum_us_ += microseconds;
    uint64_t limit = kFirstBucketUs;
    for (int i = 0; i < kBuckets; i++, limit *= 2) {
        if (microseconds <= limit) {
            buckets_[i]++;
            return;
        }
    }
}

void Histogram::add(const Histogram& other) {
    for (int i = 0; i < kBuckets; i++) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_us_ += other.sum_us_;
}

void Histogram::subtract(const Histogram& earlier) {
    SANDSTORE_CHECK(earlier.count_ <= count_, "a histogram of ", earlier.count_, " is not earlier than one of ",
                    count_);
    for (int i = 0; i < kBuckets; i++) buckets_[i] -= earlier.buckets_[i];
    count_ -= earlier.count_;
    sum_us_ -= earlier.sum_us_;
}

uint64_t Histogram::quantile_us(double part) const {
    if (count_ == 0) return 0;
    const double rank = part * static_cast<double>(count_);
    uint64_t below = 0;
    uint64_t limit = kFirstBucketUs;
    for (int i = 0; i < kBuckets; i++, limit *= 2) {
        const uint64_t here = buckets_[i];
        if (here > 0 && static_cast<double>(below + here) >= rank) {
            const auto start = static_cast<double>(i == 0 ? 0 : limit / 2);
            const double share = (rank - static_cast<double>(below)) / static_cast<double>(here);
            return static_cast<uint64_t>(start + share * (static_cast<double>(limit) - start));
        }
        below += here;
    }
    return limit / 2;
}

struct MetricsRegistry::Family {
    std::string help;
    std::string type;
    std::map<std::string, Counter> counters;  // By rendered labels.
    std::map<std::string, Gauge> gauges;
    std::map<std::string, Histogram> histograms;
};

MetricsRegistry::MetricsRegistry() = default;
MetricsRegistry::~MetricsRegistry() = default;

static std::string render_labels(const MetricLabels& labels) {
    std::string text;
    for (const auto& [name, value] : labels) {
        str_append(&text, text.empty() ? "" : ",", name, "=\"");
        for (char c : value) {
            if (c == '\\' || c == '"') text += '\\';
            if (c == '\n') {
                text += "\\n";
            } else {
                text += c;
            }
        }
        text += '"';
    }
    return text;
}

MetricsRegistry::Family& MetricsRegistry::family(std::string_view name, std::string_view help, std::string_view type) {
    auto found = families_.find(name);
    if (found == families_.end()) {
        auto made = std::make_unique<Family>();
        made->help = help;
        made->type = type;
        found = families_.emplace(std::string(name), std::move(made)).first;
    }
    SANDSTORE_CHECK(found->second->type == type, "metric ", name, " is a ", found->second->type, ", not a ", type);
    return *found->second;
}

Counter& MetricsRegistry::counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
    return family(name, help, "counter").counters[render_labels(labels)];
}

Gauge& MetricsRegistry::gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
    return family(name, help, "gauge").gauges[render_labels(labels)];
}

Gauge& MetricsRegistry::measured_counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
    return family(name, help, "counter").gauges[render_labels(labels)];
}

Histogram& MetricsRegistry::histogram(std::string_view name, std::string_view help, const MetricLabels& labels) {
    return family(name, help, "histogram").histograms[render_labels(labels)];
}

static std::string escape_help(std::string_view help) {
    std::string text;
    for (char c : help) {
        if (c == '\\') text += '\\';
        if (c == '\n') {
            text += "\\n";
        } else {
            text += c;
        }
    }
    return text;
}

uint64_t MetricsRegistry::counter_total(std::string_view name) const {
    const auto found = families_.find(name);
    uint64_t total = 0;
    if (found == families_.end()) return total;
    for (const auto& [labels, counter] : found->second->counters) total += counter.value();
    return total;
}

double MetricsRegistry::gauge_total(std::string_view name) const {
    const auto found = families_.find(name);
    double total = 0;
    if (found == families_.end()) return total;
    for (const auto& [labels, gauge] : found->second->gauges) total += gauge.value();
    return total;
}

Histogram MetricsRegistry::histogram_total(std::string_view name, const LabelFilter& counted) const {
    const auto found = families_.find(name);
    Histogram total;
    if (found == families_.end()) return total;
    for (const auto& [labels, histogram] : found->second->histograms) {
        if (!counted || counted(labels)) total.add(histogram);
    }
    return total;
}

static std::string with_labels(std::string_view labels) {
    return labels.empty() ? "" : str_cat("{", labels, "}");
}

static void render_histogram(std::string* out, const std::string& name, const std::string& labels,
                             const Histogram& histogram) {
    uint64_t limit = Histogram::kFirstBucketUs;
    uint64_t total = 0;
    const std::string prefix = labels.empty() ? "{le=\"" : str_cat("{", labels, ",le=\"");
    for (int i = 0; i < Histogram::kBuckets; i++, limit *= 2) {
        total += histogram.bucket(i);
        str_append(out, name, "_bucket", prefix, str_format("%g", limit / 1e6), "\"} ", total, "\n");
    }
    str_append(out, name, "_bucket", prefix, "+Inf\"} ", histogram.count(), "\n");
    str_append(out, name, "_sum", with_labels(labels), " ", str_format("%.6f", histogram.sum_us() / 1e6), "\n");
    str_append(out, name, "_count", with_labels(labels), " ", histogram.count(), "\n");
}

std::string MetricsRegistry::render() const {
    for (const std::function<void()>& refresh : refreshes_) refresh();
    std::string out;
    for (const auto& [name, family] : families_) {
        str_append(&out, "# HELP ", name, " ", escape_help(family->help), "\n# TYPE ", name, " ", family->type, "\n");
        for (const auto& [labels, counter] : family->counters) {
            str_append(&out, name, with_labels(labels), " ", counter.value(), "\n");
        }
        for (const auto& [labels, gauge] : family->gauges) {
            str_append(&out, name, with_labels(labels), " ", str_format("%.17g", gauge.value()), "\n");
        }
        for (const auto& [labels, histogram] : family->histograms) render_histogram(&out, name, labels, histogram);
    }
    return out;
}

}  // namespace sandstore
