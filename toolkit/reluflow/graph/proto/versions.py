"""Versions at which ONNX's own operators changed in a relevant way (Changelog.md of ONNX)."""

CAST_TO_NUMBER = 6
"""Cast's `to` is the number of a type; before, its name."""
SELU_ALL_DIGITS = 6
"""Selu's defaults have all digits of float32; before, four decimals."""
NUMPY_BROADCASTING = 7
"""Operands broadcast as in numpy; before, along axes that the attribute `axis` named."""
NO_IS_TEST = 7
"""BatchNormalization and Dropout are in inference mode; before, the attribute `is_test` said so."""
NO_SPATIAL = 9
"""BatchNormalization has one mean per channel; before, `spatial` = 0 gave each position its own."""
SCAN_WITHOUT_BATCH = 9
"""Scan runs over an axis of its inputs; before, over sequences in a batch."""
DROPOUT_MASK_OF_BOOL = 10
"""Dropout's mask consists of truth values; before, of numbers."""
RESIZE_COORDINATES = 11
"""Resize says how it places pixels; before, it had one way."""
DROPOUT_RATIO_IS_INPUT = 12
"""Dropout's ratio and its `training_mode` are inputs; before, an attribute."""
BATCH_NORM_TRAINING_MODE = 14
"""BatchNormalization has `training_mode`; before, outputs after the first meant training."""

OLDEST_IR = 3
"""The first file format with opset imports, of ONNX 1.0: before, operators had no version."""
