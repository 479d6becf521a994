#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts both ways: each fifth of a second a number goes down to the page, and of those that come up it says whether one was missing
# or came twice.
n=0
while sleep 0.2; do
    n=$((n + 1))
    echo "down $n"
done &
exec mawk -W interactive '
    $1 <= last { twice++ }
    $1 > last + 1 { lost += $1 - last - 1 }
    $1 > last { last = $1 }
    { print "up", last, lost + 0, twice + 0 }'
