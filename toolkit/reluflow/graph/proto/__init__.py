"""The file: protobuf, external data, checks, and `Model` around them."""
