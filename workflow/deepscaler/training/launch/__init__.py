"""Starting OpenRLHF for one segment on one node or many, and stopping all of it again."""
