// smoke: waits for a cluster's leader, then tries once all that a user of the store relies on. One line for each step:
// `PASS: ...`, or `FAIL: STEP: expected ..., saw ...` and exit status 1. The last line of a good run is SMOKE OK.
// A program of its own; and a command of `sandstore`, so that an image needs one file for both.
#pragma once

namespace sandstore {

int smoke_command(int argc, char** argv);

}  // namespace sandstore
