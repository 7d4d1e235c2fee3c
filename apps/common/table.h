// Rows of words in columns, for people. The first row is the heading.
#pragma once

#include <string>
#include <vector>

namespace sandstore {

void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace sandstore
