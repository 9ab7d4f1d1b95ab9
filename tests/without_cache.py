"""Imported by commands that measure the compiler: each of their compiles is one."""

import os

os.environ["FC_CACHE_ENABLED"] = "0"
