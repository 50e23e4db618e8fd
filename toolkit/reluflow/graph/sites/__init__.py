"""Switch sites: which nodes switch, where their units are, and why others do not count."""
