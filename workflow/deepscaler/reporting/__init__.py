"""What a reviewer reads: tables, claims, figures, compute, second opinions, provenance, the report.

Modules may import only what stands above them in this list:
file_names, claims, verdicts, compute, figures, opinions, provenance, report, rehearsal, equality, compare, kept_run,
check, archive, publication, publish_table, tracking.
"""
