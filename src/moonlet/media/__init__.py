"""Images and video from outside to what the vision tower reads, with every limit checked before anything is decoded."""
