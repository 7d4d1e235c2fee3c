// Schedules: drawn, printed, read back, shortened; and the same one twice.
#include "tests/sim/schedule.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/text.h"
#include "tests/sim/run_digest.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sim_run.h"
#include "tests/sim/swarm.h"

namespace sandstore {
namespace {

TEST(Schedule, comes_back_from_its_text) {
    for (uint64_t seed = 1; seed <= 50; seed++) {
        const Schedule schedule = draw_schedule(seed);
        std::string error;
        const std::optional<Schedule> read = parse_schedule(to_text(schedule), &error);
        ASSERT_TRUE(read) << error;
        EXPECT_EQ(to_text(*read), to_text(schedule));
    }
}

TEST(Schedule, says_which_line_is_wrong) {
    for (const std::string_view line :
         {"set nodess 3", "at 5 kill", "at 5 kill node=x for_us=1", "at -5 kill node=1 for_us=1", "seed five",
          "at 5 kill for_us=1 node=1", "at 5 explode node=1", "hello"}) {
        std::string error;
        EXPECT_FALSE(parse_schedule(str_cat("seed 1\n# a comment\n", line, "\n"), &error)) << line;
        EXPECT_EQ(error.substr(0, 6), "line 3") << error;
    }
}

TEST(Schedule, every_kind_of_event_is_drawn_by_some_seed) {
    std::set<SimEventKind> kinds;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        for (const SimEvent& event : draw_schedule(seed).events) kinds.insert(event.kind);
    }
    for (int kind = 0; kind <= static_cast<int>(SimEventKind::kExport); kind++) {
        EXPECT_TRUE(kinds.contains(static_cast<SimEventKind>(kind))) << name_of(static_cast<SimEventKind>(kind));
    }
}

TEST(Schedule, runs_the_same_twice) {
    for (const uint64_t seed : {1, 2, 3}) EXPECT_EQ(first_difference(draw_schedule(seed)), "");
}

TEST(Schedule, a_different_one_is_noticed_by_the_digest) {
    RunDigest digests[2];
    for (int i = 0; i < 2; i++) {
        SimRunOptions options;
        options.on_deliver = [&](uint64_t now_us, const std::string& id, const Message& message) {
            digests[i].add(now_us, id, message);
        };
        run_schedule(draw_schedule(static_cast<uint64_t>(i + 1)), options);
    }
    EXPECT_NE(digests[0].checksum(), digests[1].checksum());
}

TEST(Shrink, leaves_what_the_failure_needs) {
    Schedule schedule = draw_schedule(11);
    schedule.settings["nodes"] = 5;
    schedule.events.push_back({900'000, SimEventKind::kPause, {2, 77}});
    schedule.events.push_back({950'000, SimEventKind::kKill, {1, 55}});
    size_t tried = 0;
    const auto fails = [&tried](const Schedule& candidate) {
        tried++;
        bool paused = false;
        for (const SimEvent& event : candidate.events) {
            if (event.kind == SimEventKind::kPause && event.argument(1) == 77) paused = true;
            if (event.kind == SimEventKind::kKill && event.argument(1) == 55 && paused) return true;
        }
        return false;
    };
    ASSERT_TRUE(fails(schedule));
    const Shrunk shrunk = shrink(schedule, fails);
    ASSERT_EQ(shrunk.schedule.events.size(), 2u) << to_text(shrunk.schedule);
    EXPECT_EQ(shrunk.schedule.events[0].kind, SimEventKind::kPause);
    EXPECT_EQ(shrunk.schedule.events[1].kind, SimEventKind::kKill);
    EXPECT_EQ(shrunk.schedule.setting("nodes"), 3);
    EXPECT_EQ(shrunk.runs + 1, tried);
}

TEST(Shrink, gives_up_in_time) {
    const Shrunk shrunk = shrink(
        draw_schedule(12), [](const Schedule&) { return false; }, 20);
    EXPECT_EQ(shrunk.runs, 20u);
    EXPECT_EQ(to_text(shrunk.schedule), to_text(draw_schedule(12)));
}

}  // namespace
}  // namespace sandstore
