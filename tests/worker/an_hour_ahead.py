"""A worker whose clock is an hour ahead."""

import sys
import time

HOUR = 3600
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + HOUR
time.time_ns = lambda: now_ns() + HOUR * 10**9

from erfscope_worker.__main__ import main  # noqa: E402  whatever it imports must see that clock

if __name__ == "__main__":
    sys.exit(main())
