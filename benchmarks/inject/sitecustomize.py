"""Found by every Python that a profiled run starts: the pool's workers sample themselves too."""

from benchmarks import sampler

sampler.install()
