"""What a changelog records of growths: more partitions, to which streams moved with memory."""
