"""The command-line tools: thin, no compiler logic."""
