"""This machine's queue where there is no POSIX shell: the runner in Python, with the same files and lines."""
