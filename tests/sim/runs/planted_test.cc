// The list of faults that can be planted is complete: what the engine protects itself from is looked for, or it says
// why not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace sandstore {
namespace {

std::filesystem::path source_directory() {
    const char* directory = std::getenv("SANDSTORE_SOURCE_DIR");
    return directory == nullptr ? "." : directory;
}

std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::set<std::string> planted_in(const std::filesystem::path& directory) {
    static constexpr std::string_view kCall = "planted(\"";
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
        if (!entry.is_regular_file()) continue;
        const std::string text = contents(entry.path());
        for (size_t at = text.find(kCall); at != std::string::npos; at = text.find(kCall, at)) {
            at += kCall.size();
            names.insert(text.substr(at, text.find('"', at) - at));
        }
    }
    return names;
}

std::set<std::string> listed() {
    std::ifstream file(source_directory() / "tests/sim/planted_faults.txt");
    std::set<std::string> names;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') names.insert(line.substr(0, line.find(' ')));
    }
    return names;
}

TEST(PlantedFaults, all_that_actors_name_are_listed) {
    const std::set<std::string> known = listed();
    const std::set<std::string> named = planted_in(source_directory() / "actors");
    EXPECT_GT(named.size(), 50u);
    for (const std::string& name : named) EXPECT_TRUE(known.contains(name)) << name;
}

}  // namespace
}  // namespace sandstore
