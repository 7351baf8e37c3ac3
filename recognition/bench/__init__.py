"""Times the pipeline, by itself and beside other libraries on the same frames."""

from recognition.bench.frames import BenchError, BenchFrames, prepare_frames
from recognition.bench.soak import soak
from recognition.bench.stages import bench

__all__ = ["BenchError", "BenchFrames", "bench", "prepare_frames", "soak"]
