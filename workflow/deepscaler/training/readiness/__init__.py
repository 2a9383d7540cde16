"""What a machine needs before it trains: GPUs, software, the node and its disks, the base model's weights."""
