// chaos_check HISTORY [FILES]: judges a recorded history (tests/history/history_check.h). Prints the verdict as JSON.
// Exit status 0: everything held, 1: something did not, 2: that is no history. FILES: of each directory, 3 when not
// given.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/history/history_check.h"

int main(int argc, char** argv) {
    const int files = argc > 2 ? std::atoi(argv[2]) : 3;
    if (argc < 2 || argc > 3 || files < 1) {
        std::fprintf(stderr, "usage: chaos_check HISTORY [FILES]\n");
        return 2;
    }
    std::ifstream text(argv[1]);
    if (!text) {
        std::fprintf(stderr, "chaos_check: %s cannot be read\n", argv[1]);
        return 2;
    }
    std::string error;
    const auto history = sandstore::read_history(text, &error);
    if (!history) {
        std::fprintf(stderr, "chaos_check: %s\n", error.c_str());
        return 2;
    }
    const sandstore::HistoryVerdict verdict = sandstore::judge(*history, static_cast<size_t>(files));
    std::printf("%s\n", to_json(*history, verdict).c_str());
    return verdict.good() ? 0 : 1;
}
