"""What comes from elsewhere: downloads, and shapes generated for the demo."""
