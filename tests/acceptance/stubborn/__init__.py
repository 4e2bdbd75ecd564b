"""An app whose workflow takes no notice of being cancelled."""
