"""What a run would start from: films as they were understood, weights, machine and hand-off."""
