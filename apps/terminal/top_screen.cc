#include "apps/terminal/top_screen.h"

#include <algorithm>
#include <map>

#include "apps/terminal/units.h"
#include "runtime/text.h"
#include "services/status/maintenance.h"
#include "services/status/status_json.h"

namespace sandstore {
namespace {

constexpr size_t kCurveColumns = 300;  // Seconds, at most.

enum class Style { kPlain, kBold, kSoft, kGood, kWarn, kBad, kHead };

const char* escape_of(Style style) {
    switch (style) {
        case Style::kBold:
            return "\033[1m";
        case Style::kSoft:
            return "\033[2m";
        case Style::kGood:
            return "\033[32m";
        case Style::kWarn:
            return "\033[33m";
        case Style::kBad:
            return "\033[31m";
        case Style::kHead:
            return "\033[7m";
        case Style::kPlain:
            break;
    }
    return "";
}

bool continues(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

size_t columns_of(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !continues(byte); }));
}

// What nodes say comes from other machines: nothing in it may steer the terminal.
std::string harmless(std::string_view text) {
    std::string out(text);
    for (char& byte : out) {
        if (static_cast<unsigned char>(byte) < ' ' || byte == 0x7F) byte = '?';
    }
    return out;
}

// One line on its way: text with styles, never wider than the terminal.
class Line {
 public:
    explicit Line(const TopView& view) : view_(view) {}

    Line& add(std::string_view text, Style style = Style::kPlain) {
        size_t end = 0, columns = 0;
        const size_t room = view_.width - columns_;
        while (end < text.size() && (columns < room || continues(text[end]))) columns += !continues(text[end++]);
        if (end == 0) return *this;
        const bool styled = view_.colors && style != Style::kPlain;
        str_append(&text_, styled ? escape_of(style) : "", text.substr(0, end), styled ? "\033[0m" : "");
        columns_ += columns;
        return *this;
    }
    Line& pad_to(size_t column, Style style = Style::kPlain) {
        return column > columns_ ? add(std::string(column - columns_, ' '), style) : *this;
    }
    size_t room() const { return view_.width - columns_; }
    const std::string& text() const { return text_; }

 private:
    const TopView& view_;
    std::string text_;
    size_t columns_ = 0;
};

std::string short_count(uint64_t value) {
    if (value < 100'000) return str_cat(value);
    if (value < 10'000'000) return str_cat(value / 1000, "k");
    return str_cat(value / 1'000'000, "M");
}

std::string times(uint64_t microseconds) {
    return microseconds == 0 ? "-" : format_duration(microseconds);
}

uint64_t per_second(const pb::NodeFigures& figures, uint64_t count) {
    return figures.interval_us() == 0 ? 0 : count * 1'000'000 / figures.interval_us();
}

// --- Parts of the frame ----------------------------------------------------------------------------------------------

std::string head_line(const pb::ClusterStatus& status, const TopView& view) {
    const auto up = std::count_if(status.nodes().begin(), status.nodes().end(), [](const auto& n) { return n.up(); });
    const std::string time = format_time(view.wall_us).substr(11);
    Line line(view);
    line.add(str_cat(" sandstore top   cluster ", harmless(status.cluster_id()), "   ", up, " of ", status.nodes_size(),
                     " nodes up "),
             Style::kHead);
    if (line.room() > time.size() + 1) line.pad_to(view.width - time.size() - 1, Style::kHead);
    line.add(str_cat(time, " "), Style::kHead);
    return line.text();
}

std::string verdict_line(const pb::ClusterStatus& status, const TopView& view) {
    if (!view.problem.empty()) {
        return Line(view).add(str_cat("No node answers: ", harmless(view.problem)), Style::kBad).text();
    }
    Verdict verdict = cluster_serves(status);
    if (const Verdict intact = copies_are_intact(status); verdict.yes && !intact.yes) verdict = intact;
    return Line(view).add(harmless(verdict.why), verdict.yes ? Style::kGood : Style::kBad).text();
}

struct Column {
    std::string_view title;
    size_t width;
    bool right;
    size_t least;  // The terminal must be this wide for the column to be shown.
    std::string (*value)(const pb::NodeStatus&, const pb::ClusterStatus&);
};

const std::vector<Column>& columns() {
    using Node = pb::NodeStatus;
    using Status = pb::ClusterStatus;
    static const std::vector<Column> kColumns = {
        {"NODE", 10, false, 0, [](const Node& n, const Status&) { return harmless(n.id()); }},
        {"ROLE", 9, false, 0,
         [](const Node& n, const Status&) { return std::string(n.up() ? role_name(n) : std::string_view("down")); }},
        {"TERM", 5, true, 0, [](const Node& n, const Status&) { return str_cat(n.raft().term()); }},
        {"COMMITTED", 10, true, 0, [](const Node& n, const Status&) { return str_cat(n.raft().commit_index()); }},
        {"LAG", 6, true, 0, [](const Node& n, const Status& s) { return short_count(lag_of(s, n).value_or(0)); }},
        {"REQ/S", 6, true, 0,
         [](const Node& n, const Status&) { return short_count(per_second(n.figures(), n.figures().requests())); }},
        {"P99", 8, true, 0, [](const Node& n, const Status&) { return times(n.figures().mutation_p99_us()); }},
        {"FSYNC P99", 9, true, 0, [](const Node& n, const Status&) { return times(n.figures().sync_p99_us()); }},
        {"SENT/S", 9, true, 90,
         [](const Node& n, const Status&) { return format_bytes(per_second(n.figures(), n.figures().sent_bytes())); }},
        {"CHUNKS", 7, true, 98, [](const Node& n, const Status&) { return short_count(n.chunks().chunk_count()); }},
        {"FREE", 9, true, 108, [](const Node& n, const Status&) { return format_bytes(n.chunks().disk_free_bytes()); }},
        {"UP", 8, true, 118, [](const Node& n, const Status&) { return format_duration(n.uptime_us()); }},
        {"VERSION", 8, true, 127, [](const Node& n, const Status&) { return harmless(n.version()); }},
    };
    return kColumns;
}

void add_cell(Line& line, const Column& column, const std::string& text, Style style) {
    std::string cell = columns_of(text) > column.width && !column.right ? text.substr(0, column.width) : text;
    const size_t used = columns_of(cell);
    const std::string space(used < column.width ? column.width - used : 0, ' ');
    line.add(column.right ? space + cell : cell + space, style).add(" ");
}

std::string node_line(const pb::NodeStatus& node, const pb::ClusterStatus& status, const TopView& view) {
    Line line(view);
    const bool leads = node.id() == status.leader_id();
    const Style style = !node.up() ? Style::kBad : leads ? Style::kBold : Style::kPlain;
    for (const Column& column : columns()) {
        if (view.width < column.least) continue;
        const bool named = column.title == "NODE" || column.title == "ROLE";
        if (!named && (!node.up() || !node.has_raft())) break;
        add_cell(line, column, column.value(node, status), style);
    }
    if (!node.detail().empty()) line.add(harmless(node.detail()), Style::kWarn);
    return line.text();
}

std::vector<std::string> table(const pb::ClusterStatus& status, const TopView& view) {
    Line head(view);
    for (const Column& column : columns()) {
        if (view.width >= column.least) add_cell(head, column, std::string(column.title), Style::kSoft);
    }
    std::vector<std::string> lines = {head.text()};
    std::vector<const pb::NodeStatus*> nodes;
    for (const pb::NodeStatus& node : status.nodes()) nodes.push_back(&node);
    const auto weight = [&](const pb::NodeStatus* node) -> uint64_t {
        if (view.order == TopOrder::kRequests) return per_second(node->figures(), node->figures().requests());
        if (view.order == TopOrder::kLag) return lag_of(status, *node).value_or(UINT64_MAX);
        return 0;
    };
    std::stable_sort(nodes.begin(), nodes.end(), [&](auto* one, auto* other) { return weight(one) > weight(other); });
    for (const pb::NodeStatus* node : nodes) lines.push_back(node_line(*node, status, view));
    return lines;
}

// One value for each of the last seconds, from the samples of all nodes: their sum, or the greatest.
std::vector<uint64_t> curve(const pb::ClusterStatus& status, bool sum, uint64_t (*value)(const pb::NodeFigures&)) {
    std::map<size_t, uint64_t> by_age;
    size_t oldest = 0;
    for (const pb::NodeStatus& node : status.nodes()) {
        if (node.samples().empty()) continue;
        // By number, since a busy node's samples are not exactly a second apart.
        const pb::NodeSample& newest = node.samples(node.samples_size() - 1);
        const uint64_t late_us = node.uptime_us() - std::min(node.uptime_us(), newest.uptime_us());
        for (const pb::NodeSample& sample : node.samples()) {
            const size_t age = late_us / 1'000'000 + (newest.number() - sample.number());
            if (age >= kCurveColumns) continue;
            uint64_t& there = by_age[age];
            there = sum ? there + value(sample.figures()) : std::max(there, value(sample.figures()));
            oldest = std::max(oldest, age);
        }
    }
    std::vector<uint64_t> values(by_age.empty() ? 0 : oldest + 1, 0);
    for (const auto& [age, amount] : by_age) values[values.size() - 1 - age] = amount;
    return values;
}

std::vector<std::string> curves(const pb::ClusterStatus& status, const TopView& view) {
    struct Curve {
        std::string_view name;
        std::vector<uint64_t> values;
        std::string (*format)(uint64_t);
    };
    using Figures = pb::NodeFigures;
    const auto count = [](uint64_t value) { return short_count(value); };
    const Curve all[] = {
        {"requests/s", curve(status, true, [](const Figures& f) { return per_second(f, f.requests()); }), count},
        {"latency p99", curve(status, false, [](const Figures& f) { return f.mutation_p99_us(); }), times},
        {"fsync p99", curve(status, false, [](const Figures& f) { return f.sync_p99_us(); }), times},
        {"sent/s", curve(status, true, [](const Figures& f) { return per_second(f, f.sent_bytes()); }), format_bytes},
    };
    std::vector<std::string> lines;
    for (const Curve& one : all) {
        Line line(view);
        line.add(one.name, Style::kSoft).pad_to(12);
        line.add(str_format("%9s ", one.format(one.values.empty() ? 0 : one.values.back()).c_str()), Style::kBold);
        const uint64_t top = one.values.empty() ? 0 : *std::max_element(one.values.begin(), one.values.end());
        const std::string most = str_cat(" max ", one.format(top));
        const size_t room = line.room() > most.size() ? line.room() - most.size() : 0;
        line.add(sparkline(one.values, room, view.unicode)).add(most, Style::kSoft);
        lines.push_back(line.text());
    }
    return lines;
}

std::vector<std::string> event_lines(const pb::ClusterStatus& status, const TopView& view, size_t lines_max) {
    struct Entry {
        uint64_t age_us;
        uint64_t number;
        const pb::NodeStatus* node;
        const pb::NodeEvent* event;
    };
    std::vector<Entry> entries;
    for (const pb::NodeStatus& node : status.nodes()) {
        for (const pb::NodeEvent& event : node.events()) {
            entries.push_back(
                {node.uptime_us() - std::min(node.uptime_us(), event.uptime_us()), event.number(), &node, &event});
        }
    }
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& one, const Entry& other) {
        return one.age_us != other.age_us ? one.age_us < other.age_us : one.number > other.number;
    });
    std::vector<std::string> lines;
    for (const Entry& entry : entries) {
        if (lines.size() >= lines_max) break;
        Line line(view);
        const uint64_t wall_us = view.wall_us - std::min(view.wall_us, entry.age_us);
        line.add(format_time(wall_us).substr(11), Style::kSoft).add(" ");
        line.add(harmless(entry.node->id()), Style::kBold).add(" ").add(harmless(entry.event->text()));
        lines.push_back(line.text());
    }
    return lines;
}

}  // namespace

std::string sparkline(const std::vector<uint64_t>& values, size_t width, bool unicode) {
    static constexpr std::string_view kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static constexpr std::string_view kPlainBars[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    const size_t shown = std::min(width, values.size());
    uint64_t top = 1;
    for (size_t i = values.size() - shown; i < values.size(); ++i) top = std::max(top, values[i]);
    const std::string_view* bars = unicode ? kBars : kPlainBars;
    std::string text(width - shown, ' ');
    for (size_t i = values.size() - shown; i < values.size(); ++i) {
        const auto level = static_cast<size_t>(static_cast<double>(values[i]) / static_cast<double>(top) * 7.0 + 0.5);
        text += bars[std::min<size_t>(level, 7)];
    }
    return text;
}

std::vector<std::string> top_frame(const pb::ClusterStatus& status, const TopView& view) {
    std::vector<std::string> lines;
    lines.push_back(head_line(status, view));
    lines.push_back(verdict_line(status, view));
    lines.emplace_back();
    const auto add = [&](const std::vector<std::string>& more) { lines.insert(lines.end(), more.begin(), more.end()); };
    add(table(status, view));
    lines.emplace_back();
    add(curves(status, view));
    lines.emplace_back();
    const size_t foot = view.live ? 1 : 0;
    if (lines.size() + foot < view.height) add(event_lines(status, view, view.height - foot - lines.size()));
    const size_t room = view.height > foot ? view.height - foot : 0;
    if (lines.size() > room) lines.resize(room);
    if (!view.live) return lines;
    lines.resize(room);
    lines.push_back(Line(view).add("q quits   sorted by: n name, r requests, l lag", Style::kSoft).text());
    return lines;
}

}  // namespace sandstore
