"""What `manage.py chaos` is made of: runs that are created while their workers die, and the account
of what became of each."""
