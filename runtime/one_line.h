// What somebody else wrote, for a message of one line.
#pragma once

#include <string>
#include <string_view>

namespace sandstore {

// Control characters, C1 in UTF-8 among them, are shown as in C (\r, \x1b), so that none reaches a terminal.
std::string one_line(std::string_view text);

}  // namespace sandstore
