#include "apps/sandstore/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr size_t kLineBytesMax = 64 << 10;

[[noreturn]] void become(const std::vector<std::string>& arguments, int output, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);  // It died before the line above.
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    const int input = open("/dev/null", O_RDONLY);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    execv("/proc/self/exe", pointers.data());
    _exit(127);
}

}  // namespace

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::exchange(other.output_, -1)),
      partial_line_(std::move(other.partial_line_)) {}

ChildProcess::~ChildProcess() {
    if (running()) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    close_output();
}

std::string ChildProcess::start(const std::vector<std::string>& arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return str_cat("no pipe: ", std::generic_category().message(errno));
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) become(arguments, ends[1], parent);
    close(ends[1]);
    if (pid_ < 0) {
        close(ends[0]);
        return str_cat("no new process: ", std::generic_category().message(errno));
    }
    output_ = ends[0];
    fcntl(output_, F_SETFL, O_NONBLOCK);
    return "";
}

void ChildProcess::signal(int number) {
    if (running()) kill(pid_, number);
}

bool ChildProcess::reap(std::string* how) {
    int status = 0;
    if (!running() || waitpid(pid_, &status, WNOHANG) != pid_) return false;
    pid_ = -1;
    *how = WIFSIGNALED(status) ? str_cat("by signal ", WTERMSIG(status)) : str_cat("with status ", WEXITSTATUS(status));
    return true;
}

void ChildProcess::read_lines(const std::function<void(std::string_view line)>& use) {
    char buffer[16 << 10];
    while (output_ >= 0) {
        const ssize_t count = read(output_, buffer, sizeof(buffer));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return;
        if (count == 0) {
            if (!partial_line_.empty()) use(partial_line_);
            partial_line_.clear();
            return close_output();
        }
        partial_line_.append(buffer, static_cast<size_t>(count));
        size_t start = 0;
        for (size_t end; (end = partial_line_.find('\n', start)) != std::string::npos; start = end + 1) {
            use(std::string_view(partial_line_).substr(start, end - start));
        }
        partial_line_.erase(0, start);
        if (partial_line_.size() <= kLineBytesMax) continue;
        use(partial_line_);
        partial_line_.clear();
    }
}

void ChildProcess::close_output() {
    if (output_ >= 0) close(output_);
    output_ = -1;
}

}  // namespace sandstore
