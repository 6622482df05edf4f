"""Sets how strict the decoders of libav are. The only place that does."""

from av.codec.context import CodecContext, Flags
from av.video.codeccontext import VideoCodecContext

from pipeline.media.headers.picture_headers import MAX_PIXELS

# Else libav conceals what is missing. `aggressive`: bits that are left over at the end of a slice
# (CAVLC) are an error too: they show that a part of its middle is missing.
ERRORS = "crccheck+bitstream+buffer+careful+aggressive+explode"
# What libav calls an error, and still decodes right, if decoding began at a recovery point: units
# name pictures from before it as no longer needed. Damaged pictures are marked nevertheless.
ERRORS_AFTER_RECOVERY = "crccheck+bitstream+buffer+careful+aggressive"


def make_strict(decoder: VideoCodecContext, *, errors: str = ERRORS) -> None:
    """Prepare a decoder, before its first packet, to report damage with the unit that has it.

    It gets one thread: with more, pictures and errors are delayed.
    """
    decoder.thread_count = 1
    decoder.thread_type = "NONE"
    decoder.options = {"err_detect": errors, "max_pixels": str(MAX_PIXELS)}


def renewed(decoder: VideoCodecContext) -> VideoCodecContext:
    """Return a new decoder with the parameters of a used one, for what comes after damage.

    libav's decoders keep more than `flush_buffers` removes: after a damaged unit (of CAVLC, say)
    all later pictures can be wrong, those of new keyframes too.
    """
    new = _create(decoder.name)
    new.extradata = decoder.extradata
    new.reorder_depth = decoder.reorder_depth
    new.color_range, new.colorspace = decoder.color_range, decoder.colorspace
    new.color_primaries, new.color_trc = decoder.color_primaries, decoder.color_trc
    return new


def open_at_once(codec: str, *, sets: bytes) -> VideoCodecContext:
    """Open a decoder that gives each picture with its unit. `sets`: parameter sets in Annex B."""
    decoder = _create(codec)
    make_strict(decoder)
    decoder.flags |= Flags.low_delay
    if sets:
        decoder.extradata = sets
    return decoder


def _create(codec: str) -> VideoCodecContext:
    decoder = CodecContext.create(codec, "r")
    if not isinstance(decoder, VideoCodecContext):
        raise TypeError(f"{codec} is no video codec")
    return decoder
