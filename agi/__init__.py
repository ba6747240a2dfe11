"""The FastAGI service: conversation steps that the dialplan asks for, and the voice that speaks them."""
