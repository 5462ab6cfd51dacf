"""Data on S3, and the hand-off of the train stage to SageMaker. Imported only when the backend asks for it."""
