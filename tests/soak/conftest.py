# SPDX-License-Identifier: MIT
"""The soak uses the harness of the end-to-end tests."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
