"""Where and how fast: the settings of compute.yaml. No result depends on this package."""
