// A child process whose output the parent reads: for `sandstore demo`.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

// Ends with the process that started it. Runs this same program, in a process group of its own, so that Ctrl-C reaches
// only the parent, which then decides.
class ChildProcess {
 public:
    ChildProcess() = default;
    ~ChildProcess();
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&&) = delete;

    // Runs /proc/self/exe with these arguments (the first one is the program's name). Empty, or what went wrong.
    std::string start(const std::vector<std::string>& arguments);

    bool running() const { return pid_ > 0; }
    pid_t pid() const { return pid_; }
    int output() const { return output_; }  // To poll; -1 when it is closed.
    void signal(int number);
    // Looks whether it has ended; if so, how: "with status 1", "by signal 9".
    bool reap(std::string* how);
    // Reads what is there and calls with each whole line, without the newline. Never waits.
    void read_lines(const std::function<void(std::string_view line)>& use);

 private:
    void close_output();

    pid_t pid_ = -1;
    int output_ = -1;
    std::string partial_line_;
};

}  // namespace sandstore
