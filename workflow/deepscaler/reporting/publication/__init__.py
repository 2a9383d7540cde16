"""A checkpoint laid out for others: weights, card, sampling, in the form of a repository of the Hugging Face hub."""
