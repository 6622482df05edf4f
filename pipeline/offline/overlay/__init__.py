"""What the model says, drawn over the video that it saw: the only place where pictures are made."""
