"""How calls get to the workers of a cluster and back: batches, messages, replies."""
