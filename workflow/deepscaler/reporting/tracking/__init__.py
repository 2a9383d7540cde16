"""A training run in the trackers that teams use, made from the records that each segment keeps.

Nothing is logged while a step is made: `deepscaler track` reads what stands and writes the trackers' files from it. So
a node needs no network, a kill loses nothing, and a step that was made twice is there once.
Modules may import only what stands above them in this list:
names, history, tensorboard_file, trackio_database, wandb_file, track.
"""
