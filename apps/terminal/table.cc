#include "apps/terminal/table.h"

#include <algorithm>
#include <cstdio>

#include "runtime/text.h"

namespace sandstore {

void print_table(const std::vector<std::vector<std::string>>& rows, const std::set<std::string>& numbers) {
    std::vector<size_t> widths(rows.front().size());
    for (const auto& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            const std::string space(widths[i] - row[i].size(), ' ');
            const bool right = numbers.contains(rows.front()[i]);
            str_append(&line, i == 0 ? "" : "  ", right ? space : "", row[i], right ? "" : space);
        }
        while (line.ends_with(' ')) line.pop_back();
        std::puts(line.c_str());
    }
}

}  // namespace sandstore
