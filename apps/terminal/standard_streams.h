// What every program does with its standard streams.
#pragma once

namespace sandstore {

// First of all: a descriptor 0, 1 or 2 that is closed would become the next file that is opened, and a log's or a
// message's words would go into it. Such a one is /dev/null from now on.
void open_standard_streams();

// Last of all: `status`, or 1 with a line on stderr when not everything could be written to standard output.
int finish_output(const char* program, int status);

}  // namespace sandstore
