"""What a person types: one module or folder for each command of `bike`. How commands are parsed belongs to `cli`."""
