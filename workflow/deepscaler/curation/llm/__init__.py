"""A language model behind an API: client, endpoints, kept replies, and the two questions that are asked of it."""
