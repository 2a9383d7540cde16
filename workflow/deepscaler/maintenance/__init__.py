"""For those who change this repository: generated docs and schemas."""
