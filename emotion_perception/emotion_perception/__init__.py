"""See a face, hear a voice, say what the person feels."""
