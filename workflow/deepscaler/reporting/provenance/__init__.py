"""Which file came from which: lineage, jobs, versions, the RO-Crate, and their verification."""
