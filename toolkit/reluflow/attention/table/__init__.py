"""What attention keeps and saves over pairs of samples and ways to select (thesis, Table 4.2)."""
