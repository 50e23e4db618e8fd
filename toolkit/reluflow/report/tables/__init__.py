"""What a report says, before it has a form: words, numbers, findings."""
