"""Where and how fast: compute settings, parallel work, what a command prints. No result depends on it."""
