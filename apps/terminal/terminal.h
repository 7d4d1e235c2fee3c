// A terminal that a program takes over as a whole: alternate screen, no echo, keys one by one. Whatever ends the
// program (its own end, Ctrl-C, SIGTERM, a closed window), the terminal is as it was before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sandstore {

struct TerminalSize {
    size_t columns = 80;
    size_t rows = 24;
};

// Of the terminal that stdout is; else what COLUMNS and LINES say, else 80 x 24.
TerminalSize terminal_size();
bool is_terminal();          // Both stdin and stdout.
bool terminal_has_utf8();    // As the locale's environment says.
bool terminal_has_colors();  // TERM is not "dumb", and NO_COLOR is not set.

// One at a time.
class FullScreen {
 public:
    FullScreen();
    ~FullScreen();
    FullScreen(const FullScreen&) = delete;
    FullScreen& operator=(const FullScreen&) = delete;

    void show(const std::vector<std::string>& lines);
    // Waits for a key: gives it; nothing when the time is over or the size changed. '\0' when the keyboard has gone.
    std::optional<char> wait_for_key(uint64_t timeout_us);
};

}  // namespace sandstore
