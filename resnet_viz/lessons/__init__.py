"""The source's experiments, one a file: each computes on real tensors and returns a frozen result; figures draw them."""
