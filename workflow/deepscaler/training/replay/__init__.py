"""Training computed a second time from its kept rollouts, in one process and by code that shares nothing with OpenRLHF.

No engine, no Ray, no DeepSpeed: `objective` is GRPO's arithmetic, `batches` says which samples form an update and a
micro-batch, `policy` is the model with AdamW, `steps` puts them together, `evidence` checks what was kept, and `replay`
walks through a stage and compares all of it with what was logged.
"""
