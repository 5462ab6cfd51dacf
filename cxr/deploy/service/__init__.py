"""The predictor behind HTTP: SageMaker's two routes, a page for people, figures for Prometheus."""
