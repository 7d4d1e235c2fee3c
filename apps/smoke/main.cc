// smoke: the check of a cluster, as a program of its own.
#include "apps/smoke/smoke_command.h"
#include "apps/terminal/standard_streams.h"

int main(int argc, char** argv) {
    sandstore::open_standard_streams();
    return sandstore::finish_output("smoke", sandstore::smoke_command(argc, argv));
}
