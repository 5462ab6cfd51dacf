"""Training: the recipe, the data on its way to the device, the Lightning module, resume and logging."""
