"""Ingest: from a folder of films to a validated, split and audited manifest."""
