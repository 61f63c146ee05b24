"""The benchmarks: one a file or folder."""
