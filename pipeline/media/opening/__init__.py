"""Opens sources of pictures: every address, file and device that libav reads is opened here."""
