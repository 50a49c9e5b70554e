"""Every use case once. Faces (commands, daemon, later the console) call these and nothing below them."""
