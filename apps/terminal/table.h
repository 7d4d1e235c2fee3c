// Rows of words in columns, for people. The first row is the heading. Columns named in `numbers` stand to the right.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace sandstore {

void print_table(const std::vector<std::vector<std::string>>& rows, const std::set<std::string>& numbers = {});

}  // namespace sandstore
