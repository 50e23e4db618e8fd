"""Pictures: PNG and SVG, and the charts of pages."""
