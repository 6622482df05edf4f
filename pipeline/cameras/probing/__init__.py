"""What a camera sends, watched for some seconds."""
