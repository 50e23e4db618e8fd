"""The model file: protobuf, external data, checks, and the class `Model` around them."""
