"""The console: one web face over the service layer. Whatever a person may do here, `dlp.rights` gives him."""
