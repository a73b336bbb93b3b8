"""Pages. A view parses, calls one action or selector, and renders."""
