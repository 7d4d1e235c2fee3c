// Children of `sandstore demo`: here the child is this test program itself.
#include "apps/sandstore/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

namespace sandstore {
namespace {

// Says the same again and again, until nobody reads it any more: never ends by itself.
const std::vector<std::string> kEndless = {"child", "--gtest_repeat=-1", "--gtest_filter=NoSuchTest"};

std::vector<std::string> lines_until_end(ChildProcess& child) {
    std::vector<std::string> lines;
    while (child.output() >= 0) {
        pollfd waiting{child.output(), POLLIN, 0};
        poll(&waiting, 1, -1);
        child.read_lines([&](std::string_view line) { lines.emplace_back(line); });
    }
    return lines;
}

std::string await_end(ChildProcess& child) {
    siginfo_t ended{};
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(child.pid()), &ended, WEXITED | WNOWAIT), 0);
    std::string how;
    EXPECT_TRUE(child.reap(&how));
    return how;
}

TEST(ChildProcess, gives_its_lines_and_its_status) {
    ChildProcess child;
    ASSERT_EQ(child.start({"child", "--gtest_list_tests", "--gtest_filter=ChildProcess.ends*"}), "");
    EXPECT_TRUE(child.running());
    const std::vector<std::string> lines = lines_until_end(child);
    EXPECT_NE(std::find(lines.begin(), lines.end(), "ChildProcess."), lines.end());
    EXPECT_EQ(await_end(child), "with status 0");
    EXPECT_FALSE(child.running());
}

TEST(ChildProcess, says_which_signal_ended_it) {
    ChildProcess child;
    ASSERT_EQ(child.start(kEndless), "");
    std::string how;
    EXPECT_FALSE(child.reap(&how));
    child.signal(SIGKILL);
    EXPECT_EQ(await_end(child), "by signal 9");
    lines_until_end(child);
}

TEST(ChildProcess, ends_with_its_owner) {
    pid_t pid = -1;
    {
        ChildProcess child;
        ASSERT_EQ(child.start(kEndless), "");
        pid = child.pid();
    }
    EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace sandstore
