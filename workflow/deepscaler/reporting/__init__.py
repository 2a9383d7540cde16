"""What a reviewer reads: tables, claims, figures, compute, provenance, the report."""
