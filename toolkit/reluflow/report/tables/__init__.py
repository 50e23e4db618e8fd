"""The content of a report, before its layout: words, numbers, findings."""
