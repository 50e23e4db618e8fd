"""Switch sites: which node switches, where its units lie, why another does not count."""
