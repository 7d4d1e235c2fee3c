#include "apps/terminal/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr std::string_view kEnter = "\033[?1049h\033[?25l\033[2J";
constexpr std::string_view kLeave = "\033[?25h\033[?1049l";
constexpr int kEndings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// What signal handlers need; only FullScreen changes it.
termios before;
termios during;
volatile sig_atomic_t taken = 0;

void write_all(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // The terminal has gone.
        text.remove_prefix(static_cast<size_t>(written));
    }
}

// Only calls that a handler may make.
void give_back() {
    if (!taken) return;
    taken = 0;
    write_all(kLeave);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

void on_ending(int number) {
    give_back();
    signal(number, SIG_DFL);
    raise(number);
}

void on_stop(int) {
    give_back();
    raise(SIGSTOP);
}

void on_continue(int) {
    if (taken) return;
    tcsetattr(STDIN_FILENO, TCSANOW, &during);
    write_all(kEnter);
    taken = 1;
}

void handle(int number, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;  // Without SA_RESTART: a wait for a key ends.
    sigaction(number, &action, nullptr);
}

size_t number_of(const char* name, size_t usual) {
    const char* text = getenv(name);
    const long value = text == nullptr ? 0 : strtol(text, nullptr, 10);
    return value > 0 && value < 10'000 ? static_cast<size_t>(value) : usual;
}

std::string_view variable(const char* name) {
    const char* text = getenv(name);
    return text == nullptr ? "" : text;
}

}  // namespace

TerminalSize terminal_size() {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        return {size.ws_col, size.ws_row};
    }
    return {number_of("COLUMNS", 80), number_of("LINES", 24)};
}

bool is_terminal() {
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

bool terminal_has_utf8() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const std::string_view value = variable(name);
        if (value.empty()) continue;
        for (const std::string_view spelling : {"UTF-8", "utf-8", "UTF8", "utf8"}) {
            if (value.find(spelling) != std::string_view::npos) return true;
        }
        return false;
    }
    return false;
}

bool terminal_has_colors() {
    return variable("NO_COLOR").empty() && variable("TERM") != "dumb" && isatty(STDOUT_FILENO) == 1;
}

FullScreen::FullScreen() {
    SANDSTORE_CHECK(!taken, "the terminal is taken already");
    tcgetattr(STDIN_FILENO, &before);
    during = before;
    during.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    during.c_cc[VMIN] = 1;
    during.c_cc[VTIME] = 0;
    for (const int number : kEndings) handle(number, on_ending);
    handle(SIGTSTP, on_stop);
    handle(SIGCONT, on_continue);
    handle(SIGWINCH, [](int) {});
    on_continue(0);
}

FullScreen::~FullScreen() {
    give_back();
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH}) signal(number, SIG_DFL);
}

// Line by line over what is there, so that nothing flickers.
void FullScreen::show(const std::vector<std::string>& lines) {
    std::string text = "\033[H";
    for (size_t i = 0; i < lines.size(); ++i) str_append(&text, i == 0 ? "" : "\r\n", lines[i], "\033[K");
    write_all(text + "\033[J");
}

std::optional<char> FullScreen::wait_for_key(uint64_t timeout_us) {
    pollfd keyboard{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&keyboard, 1, static_cast<int>(timeout_us / 1000));
    if (ready <= 0) return std::nullopt;  // Also when a signal came: the size may be another.
    char key = 0;
    const ssize_t got = ::read(STDIN_FILENO, &key, 1);
    if (got < 0 && errno == EINTR) return std::nullopt;
    return got == 1 ? key : '\0';
}

}  // namespace sandstore
