"""Networks with fewer units: channels are taken out, merged, or freed of their switch."""
