// The runs that the golden traces were recorded from.
#pragma once

#include <string>

namespace sandstore {

struct RecordedRun {
    const char* name;
    const char* what;
    void (*run)(const std::string& trace_path);  // Records one node of a simulated cluster.
};

extern const RecordedRun kRecordedRuns[3];

}  // namespace sandstore
