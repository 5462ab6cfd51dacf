"""S3, SageMaker training and endpoints. No stage's result depends on it."""
