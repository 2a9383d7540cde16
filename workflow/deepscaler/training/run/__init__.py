"""The folder of a segment: its states, its checkpoint, its one writer."""
