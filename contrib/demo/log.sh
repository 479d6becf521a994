#!/bin/sh
# SPDX-License-Identifier: MIT
# A log that grows, as `tail -f` would show it. Its number is that of the one process that all see.
n=0
while :; do
    for what in 'GET /' 'GET /chess' 'POST /orders' 'GET /style.css' 'GET /orders/7'; do
        n=$((n + 1))
        echo "$(date +%T) [$$] $what $((n * 37 % 90 + 3)) ms"
        sleep 0.7
    done
done
