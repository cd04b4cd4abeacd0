"""Charts as pictures. Drawn in a short-lived process: the drawing library's memory and faults never become the bot's."""
