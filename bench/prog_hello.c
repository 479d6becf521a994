/* SPDX-License-Identifier: MIT */

/* A program behind a server: says one line and ends. For the cost of starting programs. */
#include <unistd.h>

int main(void)
{
    return write(STDOUT_FILENO, "hello\n", 6) == 6 ? 0 : 1;
}
