"""An app whose workflow kills its worker."""
