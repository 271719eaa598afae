"""The paper's experiments, one per module. Each computes on real tensors and returns a frozen result, which figures draw."""
