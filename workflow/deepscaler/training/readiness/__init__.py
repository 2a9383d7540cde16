"""What a machine needs before it trains or samples: GPUs, software, the node and its disks, the weights."""
