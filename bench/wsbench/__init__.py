# SPDX-License-Identifier: MIT
"""The parts of bench/run: processes, the servers compared, workloads, tables and plots."""
