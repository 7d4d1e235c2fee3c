#include "tests/sim/shrink.h"

#include <algorithm>

namespace sandstore {

namespace {

class Shrinker {
 public:
    Shrinker(Schedule schedule, const std::function<bool(const Schedule&)>& fails, size_t runs_max)
        : best_(std::move(schedule)), fails_(fails), runs_left_(runs_max), runs_max_(runs_max) {}

    Shrunk run() {
        for (bool smaller = true; smaller && runs_left_ > 0;) {
            smaller = false;
            smaller |= drop_kinds();
            smaller |= drop_events();
            smaller |= reset_settings();
            smaller |= use_fewer_nodes();
            smaller |= hurry();
            smaller |= end_earlier();
        }
        return {std::move(best_), runs_max_ - runs_left_};
    }

 private:
    bool accept(Schedule candidate) {
        if (runs_left_ == 0) return false;
        runs_left_--;
        if (!fails_(candidate)) return false;
        best_ = std::move(candidate);
        return true;
    }

    // Whole classes of faults and operations first: most do not matter.
    bool drop_kinds() {
        bool smaller = false;
        for (int kind = 0; kind <= static_cast<int>(SimEventKind::kList); kind++) {
            Schedule candidate = best_;
            std::erase_if(candidate.events, [kind](const SimEvent& e) { return static_cast<int>(e.kind) == kind; });
            if (candidate.events.size() < best_.events.size()) smaller |= accept(std::move(candidate));
        }
        return smaller;
    }

    // Runs of events, halved until single ones are tried.
    bool drop_events() {
        bool smaller = false;
        for (size_t length = std::max<size_t>(best_.events.size() / 2, 1); length > 0; length /= 2) {
            for (size_t from = 0; from < best_.events.size() && runs_left_ > 0;) {
                Schedule candidate = best_;
                const size_t until = std::min(from + length, candidate.events.size());
                candidate.events.erase(candidate.events.begin() + static_cast<ptrdiff_t>(from),
                                       candidate.events.begin() + static_cast<ptrdiff_t>(until));
                if (accept(std::move(candidate))) {
                    smaller = true;
                } else {
                    from += length;
                }
            }
        }
        return smaller;
    }

    bool reset_settings() {
        bool smaller = false;
        const std::map<std::string, int64_t> settings = best_.settings;
        for (const auto& [name, value] : settings) {
            Schedule candidate = best_;
            candidate.settings.erase(name);
            smaller |= accept(std::move(candidate));
        }
        return smaller;
    }

    bool use_fewer_nodes() {
        bool smaller = false;
        for (const char* name : {"nodes", "clients", "directories", "files"}) {
            const int64_t least = std::string_view(name) == "nodes" ? 3 : 1;
            while (best_.setting(name) > least && runs_left_ > 0) {
                Schedule candidate = best_;
                candidate.settings[name] = best_.setting(name) - 1;
                if (!accept(std::move(candidate))) break;
                smaller = true;
            }
        }
        return smaller;
    }

    // The same in half the time.
    bool hurry() {
        bool smaller = false;
        while (best_.setting("run_us") > 1000 && runs_left_ > 0) {
            Schedule candidate = best_;
            candidate.settings["run_us"] = best_.setting("run_us") / 2;
            for (SimEvent& event : candidate.events) event.at_us /= 2;
            if (!accept(std::move(candidate))) break;
            smaller = true;
        }
        return smaller;
    }

    bool end_earlier() {
        bool smaller = false;
        while (best_.setting("run_us") > 1000 && runs_left_ > 0) {
            Schedule candidate = best_;
            const int64_t run_us = best_.setting("run_us") / 2;
            candidate.settings["run_us"] = run_us;
            std::erase_if(candidate.events,
                          [run_us](const SimEvent& e) { return e.at_us > static_cast<uint64_t>(run_us); });
            if (!accept(std::move(candidate))) break;
            smaller = true;
        }
        return smaller;
    }

    Schedule best_;
    const std::function<bool(const Schedule&)>& fails_;
    size_t runs_left_;
    const size_t runs_max_;
};

}  // namespace

Shrunk shrink(Schedule schedule, const std::function<bool(const Schedule&)>& fails, size_t runs_max) {
    return Shrinker(std::move(schedule), fails, runs_max).run();
}

}  // namespace sandstore
