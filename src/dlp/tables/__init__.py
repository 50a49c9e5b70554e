"""Tables that the view is folded by; see README.md here."""
