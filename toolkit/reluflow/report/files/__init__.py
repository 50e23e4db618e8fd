"""Files, written completely or not at all: JSON and Parquet."""
