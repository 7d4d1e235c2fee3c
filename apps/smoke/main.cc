// smoke: the check of a cluster, as a program of its own.
#include "apps/common/smoke_command.h"

int main(int argc, char** argv) {
    return sandstore::smoke_command(argc, argv);
}
