"""Set-up that tests and benchmarks share: an S3 server, a tiny NPZ set, the served bundle, scratch workspaces."""
