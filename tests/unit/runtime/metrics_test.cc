#include "runtime/metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "runtime/process_metrics.h"
#include "runtime/request_metrics.h"

namespace sandstore {
namespace {

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

// The value of the one series that begins like this; -1 without any.
double value_of(const std::string& text, const std::string& series) {
    const size_t found = ("\n" + text).find("\n" + series + " ");
    return found == std::string::npos ? -1 : std::stod(text.substr(found + series.size()));
}

TEST(Metrics, help_type_and_labels_are_escaped_as_the_format_asks) {
    MetricsRegistry metrics;
    metrics.counter("a_total", "One\nline with a \\.", {{"path", "a\\b\"c\nd"}}).add(3);
    EXPECT_EQ(metrics.render(),
              "# HELP a_total One\\nline with a \\\\.\n# TYPE a_total counter\na_total{path=\"a\\\\b\\\"c\\nd\"} 3\n");
}

TEST(Metrics, buckets_are_cumulative_and_end_with_everything) {
    MetricsRegistry metrics;
    Histogram& histogram = metrics.histogram("b_seconds", "Times.");
    for (const uint64_t took_us : {10, 60, 60, 999'999'999}) histogram.observe_us(took_us);
    const std::string text = metrics.render();
    EXPECT_TRUE(has_line(text, "b_seconds_bucket{le=\"5e-05\"} 1"));
    EXPECT_TRUE(has_line(text, "b_seconds_bucket{le=\"0.0001\"} 3"));
    EXPECT_TRUE(has_line(text, "b_seconds_bucket{le=\"104.858\"} 3"));
    EXPECT_TRUE(has_line(text, "b_seconds_bucket{le=\"+Inf\"} 4"));
    EXPECT_TRUE(has_line(text, "b_seconds_sum 1000.000129"));
    EXPECT_TRUE(has_line(text, "b_seconds_count 4"));
}

TEST(Metrics, what_is_declared_is_described_before_it_has_a_value) {
    MetricsRegistry metrics;
    metrics.declare("c_total", "Things.", "counter");
    EXPECT_EQ(metrics.render(), "# HELP c_total Things.\n# TYPE c_total counter\n");
    metrics.counter("c_total", "Things.", {{"kind", "x"}}).add();
    EXPECT_TRUE(has_line(metrics.render(), "c_total{kind=\"x\"} 1"));
}

TEST(Metrics, what_is_measured_elsewhere_is_looked_up_when_somebody_asks) {
    MetricsRegistry metrics;
    Gauge& seconds = metrics.measured_counter("d_seconds_total", "Time.");
    int asked = 0;
    metrics.before_render([&] { seconds.set(0.25 * ++asked); });
    EXPECT_TRUE(has_line(metrics.render(), "d_seconds_total 0.25"));
    EXPECT_TRUE(has_line(metrics.render(), "# TYPE d_seconds_total counter"));
    EXPECT_TRUE(has_line(metrics.render(), "d_seconds_total 0.75"));
}

TEST(RequestMetrics, requests_are_told_apart_by_operation_and_code) {
    MetricsRegistry metrics;
    RequestMetrics requests(metrics, "files", {"stat", "rename"});
    EXPECT_TRUE(has_line(metrics.render(), "# TYPE sandstore_request_duration_seconds histogram"));
    requests.observe(0, pb::STATUS_OK, 100);
    requests.observe(0, pb::STATUS_OK, 200);
    requests.observe(1, pb::STATUS_ENOENT, 100);
    requests.observe(1, pb::STATUS_ESTALE, 100);
    requests.observe(1, pb::STATUS_SESSION_EXPIRED, 100);
    const std::string text = metrics.render();
    const auto count = [&](const std::string& labels) {
        return value_of(text, "sandstore_request_duration_seconds_count{api=\"files\"," + labels + "}");
    };
    EXPECT_EQ(count("op=\"stat\",code=\"ok\""), 2);
    EXPECT_EQ(count("op=\"rename\",code=\"enoent\""), 1);
    EXPECT_EQ(count("op=\"rename\",code=\"estale\""), 1);
    EXPECT_EQ(count("op=\"rename\",code=\"session_expired\""), 1);
    EXPECT_EQ(count("op=\"stat\",code=\"enoent\""), -1) << "a series comes with its first request";
}

TEST(RequestMetrics, a_code_that_does_not_exist_makes_no_series_of_its_own) {
    MetricsRegistry metrics;
    RequestMetrics requests(metrics, "files", {"stat"});
    for (const int code : {-5, 127, 999, 1031, 1032, 1'000'000}) {
        requests.observe(0, static_cast<pb::StatusCode>(code), 1);
    }
    const std::string text = metrics.render();
    size_t series = 0;
    for (size_t at = 0; (at = text.find("_count{", at)) != std::string::npos; at++) series++;
    EXPECT_EQ(series, 1u) << text;
}

TEST(ProcessMetrics, they_are_those_of_this_process) {
    MetricsRegistry metrics;
    uint64_t now_us = 1'700'000'000'500'000;
    add_process_metrics(metrics, {"1.2.3", "abc", "static"}, [&] { return now_us; });
    std::string text = metrics.render();
    EXPECT_TRUE(has_line(text, "sandstore_build_info{version=\"1.2.3\",commit=\"abc\",profile=\"static\"} 1"));
    EXPECT_EQ(value_of(text, "sandstore_time_seconds"), 1'700'000'000.5);
    EXPECT_GT(value_of(text, "process_resident_memory_bytes"), 100'000);
    EXPECT_GE(value_of(text, "process_virtual_memory_bytes"), value_of(text, "process_resident_memory_bytes"));
    EXPECT_GE(value_of(text, "process_max_fds"), value_of(text, "process_open_fds"));
    const double started = value_of(text, "process_start_time_seconds");
    const auto system_now = static_cast<double>(time(nullptr));
    EXPECT_LE(started, system_now + 1);
    EXPECT_GT(started, system_now - 86'400);
    const double open_before = value_of(text, "process_open_fds");
    const int copy = dup(0);
    ASSERT_GE(copy, 0);
    text = metrics.render();
    EXPECT_EQ(value_of(text, "process_open_fds"), open_before + 1);
    EXPECT_EQ(value_of(text, "process_start_time_seconds"), started);
    close(copy);
    const double cpu = value_of(text, "process_cpu_seconds_total");
    EXPECT_GE(cpu, 0);
    while (value_of(metrics.render(), "process_cpu_seconds_total") <= cpu) continue;  // Work shows.
}

}  // namespace
}  // namespace sandstore
