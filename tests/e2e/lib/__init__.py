# SPDX-License-Identifier: MIT
"""What the end-to-end tests stand on: the daemon, a raw WebSocket client, servers for it to reach."""
