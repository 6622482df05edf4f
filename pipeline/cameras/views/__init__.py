"""The views of a camera: parts of its picture, each of which is a stream."""
