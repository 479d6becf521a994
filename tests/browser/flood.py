# SPDX-License-Identifier: MIT
"""Numbers lines without end, so many at a time (30), and answers each line of its input."""

import os
import select
import sys

number, left = 0, b""
some = int(sys.argv[1]) if len(sys.argv) > 1 else 30
while True:
    out = b"".join(b"n %d\n" % n for n in range(number + 1, number + 1 + some))
    number += some
    if select.select([0], [], [], 0.03 / some)[0]:
        data = os.read(0, 65536)
        if not data:
            break
        *lines, left = (left + data).split(b"\n")
        out += b"".join(b"e " + line + b"\n" for line in lines)
    os.write(1, out)
