#!/bin/sh
# SPDX-License-Identifier: MIT
# The clock of the demo. Every line it prints is a message to the page.
while date +%T; do sleep 1; done
