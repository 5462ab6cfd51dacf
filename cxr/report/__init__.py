"""What people read: comparisons of revisions, the pull-request report, the model card. No stage imports it."""
